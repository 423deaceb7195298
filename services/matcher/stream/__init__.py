"""The matcher's shell on Faust, for Apache Kafka: an agent that consumes `upshot.events` in micro-batches.

The same `service/handling.py` as the shell over the bus port's own loop drives. Faust fetches, carries and rebalances; it
neither acknowledges nor commits, and has no tables: what the matcher remembers is a fold of the log.
Next: `shell.py` for the agent, `share.py` for what is this process's own, `consumer.py` for how Faust carries a whole batch.
"""

from services.matcher.stream.shell import MatcherStream

__all__ = ["MatcherStream"]
