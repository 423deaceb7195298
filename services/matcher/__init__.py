"""Joins platform events against each tenant's workflows.

Reads `upshot.events` and `upshot.definitions`; writes `upshot.runs` (one `event.matched` an event that leads to something) and
`upshot.deadletters`; owns which workflow an event starts.
"""
