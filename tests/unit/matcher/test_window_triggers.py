"""Counts and absences by the events' own time: once, in whatever order events come, whoever takes over in between."""
