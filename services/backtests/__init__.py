"""Tries a workflow without any effect: on one event, or on what happened in the past.

Reads `upshot.events`; appends nothing, sends nothing, and is handed nothing that could. Backtests live in memory only.
"""
