"""`subjects.py` (what is tried), `trials.py` (on one event), `jobs.py` (on the past), `worker.py` (in a process of its own)."""
