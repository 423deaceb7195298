"""The services of Upshot, one folder each, and what puts them together: `foundation.py`, `embedded.py`, `cli/`."""
