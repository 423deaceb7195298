"""A workflow from the document that a person writes to the values that the services run.

`document.py` is its shape, `check.py` what saving demands beyond the shape, `compiled.py` what matching and execution use,
`starting.py` how a match is built, `subject.py` what an approval is about. `rules.py` (a tenant's workflows made ready for
matching) and `decide.py` (what one event leads to) are the one evaluator that whoever asks shares. Pure.
"""
