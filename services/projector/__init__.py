"""The projector: reads `upshot.events`, `upshot.definitions` and the folded `upshot.runs`; writes PostgreSQL read models.

Owns: the checkpoints of the partitions of `upshot.runs` that its process owns. Next: `service/projector.py`.
"""
