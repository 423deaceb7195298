"""`upshot demo`: recorded vendor webhooks through the whole platform, and what became of them, told.

It is a user like any other: everything goes through the HTTP interface, but for making the tenant and reading the log for the
trace, which `upshot tenant create` and `upshot trace` do alike. Each thing that should happen is checked, and counted.
Next: `runner.py`.
"""

from services.demo.runner import run_demo

__all__ = ["run_demo"]
