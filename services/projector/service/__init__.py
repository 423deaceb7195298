"""`projector.py` writes what was folded; `logs.py` follows the two topics whose fold nobody else in the process hands over."""

from services.projector.service.projector import Lag, Projector

__all__ = ["Lag", "Projector"]
