"""Pure: `rules.py` a tenant's workflows made ready, `decide.py` what one event leads to."""
