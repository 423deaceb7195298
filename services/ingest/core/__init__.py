"""Pure: `published.py` upstream services' CloudEvents as platform events, `admission.py` how much one tenant may send."""
