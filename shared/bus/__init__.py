"""The log of record behind one port. `port.py` is the specification."""
