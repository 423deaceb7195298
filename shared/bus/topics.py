"""The four topics of the log (design: one tenant lies in the same partition number of each)."""

EVENTS = "upshot.events"
DEFINITIONS = "upshot.definitions"
RUNS = "upshot.runs"
DEADLETTERS = "upshot.deadletters"

TOPICS = (EVENTS, DEFINITIONS, RUNS, DEADLETTERS)

PARTITION_COUNT_DEFAULT = 32
