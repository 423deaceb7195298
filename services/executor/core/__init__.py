"""Pure: `plan.py` what a run's state asks for next, `outcome.py` what an attempt's end becomes."""
