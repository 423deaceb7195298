"""The one door through which records of a version that not every reader knows yet do not get.

Services state facts in the newest version that they know. While `UPSHOT_WRITE_LEVEL` is lower, they are appended in the
version before: during a rolling update the old processes go on reading, and an update can be taken back.
Next: `record_versions.py`.
"""

import re
from collections.abc import Sequence

from shared.bus import codec
from shared.bus.passing import PassingBus
from shared.bus.port import Bus, NewRecord, Position
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.upcasters import RecordVersions

_LEVEL = re.compile(r"~([0-9]{1,9})(-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$", re.ASCII)


def at_write_level(bus: Bus, write_level: int, versions: RecordVersions = RECORD_VERSIONS) -> Bus:
    """A bus that appends nothing above `write_level`; `bus` itself where nothing is to be held back.

    Raises InvalidInput for a level that this version does not know.
    """
    versions.check_write_level(write_level)
    return bus if write_level == versions.newest_level else _LevelledBus(bus, write_level, versions)


def member_name(name: str, versions: RecordVersions = RECORD_VERSIONS) -> str:
    """A group member's id that also says what its process reads, for `upshot doctor`."""
    return f"{name}~{versions.newest_level}"


def reads_level(member_id: str) -> int | None:
    """Up to which level the process of a group member reads; None: its id does not say. Kafka adds an id of its own."""
    found = _LEVEL.search(member_id)
    return int(found[1]) if found is not None else None


class _LevelledBus(PassingBus):
    """A `Bus`."""

    def __init__(self, bus: Bus, write_level: int, versions: RecordVersions) -> None:
        super().__init__(bus)
        self._write_level = write_level
        self._versions = versions

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """See the port. Raises `NotWritableYet`, too, before anything is appended."""
        return await self.beneath.append([self._lowered(record) for record in records])

    def _lowered(self, record: NewRecord) -> NewRecord:
        if all(name != "ce_recordversion" for name, _ in record.headers):
            return record  # a first version: most are
        event = record.origin or codec.decode(record, self._versions)
        lower = self._versions.downcast(record.topic, event, self._write_level)
        return record if lower is event else codec.encode(record.topic, lower)
