"""What platform events carry: one JSON Schema (2020-12) per type, by who publishes it. Start at `event_type.py`."""
