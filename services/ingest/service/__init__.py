"""The shell of ingest: `deliveries.py` takes vendors' pushes, `published.py` upstream services' events.

A 2xx is answered only when the log has said that the events are durable.
"""
