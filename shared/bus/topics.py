"""The four topics of the log (design: one tenant lies in the same partition number of each)."""

EVENTS = "upshot.events"
DEFINITIONS = "upshot.definitions"
RUNS = "upshot.runs"
DEADLETTERS = "upshot.deadletters"

TOPICS = (EVENTS, DEFINITIONS, RUNS, DEADLETTERS)

COMPANIONS = {EVENTS: DEFINITIONS}
"""Who reads the one topic must know how far the other reaches (`Bus.watermarks`, `as_of`)."""

PARTITION_COUNT_DEFAULT = 32
