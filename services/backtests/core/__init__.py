"""Pure: what a workflow would have made of events. `candidate.py`, then `rehearsal.py`; `judging.py` and `report.py` for many."""
