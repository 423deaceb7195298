"""The log on Apache Kafka, through aiokafka: `KafkaBus` is a `Bus` of the port; `KafkaSettings` is all it can be told.

Next: `bus.py` for how it is put together, `settings.py` for its limits.
"""

from shared.bus.adapters.kafka import closed_transports
from shared.bus.adapters.kafka.bus import KafkaBus
from shared.bus.adapters.kafka.settings import KafkaSettings

__all__ = ["KafkaBus", "KafkaSettings"]

closed_transports.install()
