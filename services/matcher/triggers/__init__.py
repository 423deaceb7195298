"""Trigger kinds, one file each: a module here that exports `TRIGGER` is found and offered (`shared/workflows/catalogue.py`
says what it must do). Pure."""
