"""Runs the steps of admitted runs.

Reads `upshot.runs` and `upshot.definitions`; writes `upshot.runs`, `upshot.events` (event.emit) and, when a receiver says 410,
`upshot.definitions`; owns timers and outgoing calls.
"""
