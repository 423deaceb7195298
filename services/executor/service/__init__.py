"""The executor's shell: what the fold says is due, it does, within bounds and in fair order, and appends what came of it.

An actor on top of the runs' fold (`shared/runtime/shards.py`). Everything it decides is decided in `core`; everything it is
busy with is remembered only so as not to do it twice at once: after a restart the state alone says what to do.
Next: `carrying.py` for one attempt from its beginning to its result, `preparing.py` for what it will do.
"""

from services.executor.service.executor import Executor

__all__ = ["Executor"]
