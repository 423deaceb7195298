"""The HTTP edge: vendors' deliveries and upstream services' events become platform events.

Reads `upshot.definitions` (sources and their secrets); writes `upshot.events`; owns the rejected requests it remembers.
"""
