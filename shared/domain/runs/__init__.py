"""The fold of `upshot.runs`: `state.py` what is remembered, `fold.py` how a fact changes it, `admission.py` and
`approvals.py` the decisions on the way."""
