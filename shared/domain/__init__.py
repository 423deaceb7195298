"""The published language: pure, standard library only. Start at `envelope.py`, then `records.py`, then `runs/`."""
