"""Pure: `deliveries.py` a vendor's push as platform events, `published.py` upstream services' CloudEvents, `admission.py`
how much one tenant may send."""
