"""The published language: pure, standard library only. Start at `envelope.py`, then `records`, then `runs/`."""
