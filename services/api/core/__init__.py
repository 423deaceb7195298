"""The API's decisions, pure: `commands.py` names what is asked for, `inputs.py` judges a manual run's inputs,
`timeline.py` says what a run's records mean to people.
"""
