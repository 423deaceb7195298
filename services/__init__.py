"""The services of Upshot, one folder each, and what puts them together: `foundation.py`, `embedded.py`, `cli/`."""

__version__ = "0.1.0"
"""The distribution's version, read from here by the build, so that a checkout that was never installed knows it too."""
