"""The fold of `upshot.runs`: `state.py` what is remembered, `fold.py` how a fact changes it, `admission.py`, `approvals.py`
and `steps.py` the decisions on the way."""
