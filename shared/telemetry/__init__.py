"""What the platform says about itself: `logging.py`."""
