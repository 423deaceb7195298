"""The log of record on PostgreSQL: `install` makes it, `PostgresBus.open` uses it, `PostgresRange` looks at its past.

Start reading at `bus.py`.
"""

from shared.bus.adapters.postgres.bus import PostgresBus
from shared.bus.adapters.postgres.ranges import PostgresRange
from shared.bus.adapters.postgres.schema import install
from shared.bus.adapters.postgres.settings import BusSettings

__all__ = ["BusSettings", "PostgresBus", "PostgresRange", "install"]
