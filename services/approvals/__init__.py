"""Keeps pending approvals in check: whoever does not decide in time has not approved.

Reads and writes `upshot.runs`; owns deadlines. Decisions themselves are appended by the api and judged by the fold.
"""
