"""What one broker remembers of a reader's question, so that the next one names only what is different (KIP-227).

A read of thirty-two partitions of which one has something new is then a question of one partition and an answer of one:
the broker answers with what has records, an error or a new end, and all else stands as it was. Broker and reader count the
questions of a session; where they disagree, or an answer is lost, the session is over and the next question is whole. So is
each one where the broker has no room for sessions. The first question is whole and opens none: who reads once leaves
nothing behind on the broker.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest_v11

from shared.bus.adapters.kafka.offsets import READ_COMMITTED
from shared.bus.adapters.kafka.settings import KafkaSettings

SESSION_UNKNOWN = 70  # the broker began anew, or needed the room
SESSION_OUT_OF_STEP = 71  # a question or an answer got lost

_CONSUMER = -1
_ANY_EPOCH = -1
_UNTOLD = -1
_NO_SESSION = 0
_OPENS = 0  # a whole question that asks for a session
_ALONE = -1  # a whole question without one
_EPOCH_MAX = 2**31 - 1

Asked = tuple[int, int]
"""The offset to read from, and the most bytes of the partition in one answer."""


class Fetch(Request[FetchRequest_v11]):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka 0.14.0's own has no way to name a session. Version 11 is that of Kafka 2.3, which groups need too."""

    API_KEY = 1

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments

    def build(self, request_struct_class: type[FetchRequest_v11]) -> FetchRequest_v11:
        return request_struct_class(*self._arguments)


class FetchSession:
    """One broker's, over one connection: one question at a time, and after each either `heard` or `lost`."""

    def __init__(self, full_name: str, settings: KafkaSettings) -> None:
        """`full_name`: of the topic."""
        self._full_name = full_name
        self._settings = settings
        self._id = _NO_SESSION
        self._epoch = _ALONE
        self._remembered: Mapping[int, Asked] = {}  # by the broker, once it has answered the last question

    def question(self, positions: Mapping[int, int]) -> Fetch:
        """Read from these offsets. In a whole question their order is that in which the broker fills its answer."""
        settings = self._settings
        each_max = max(settings.poll_bytes_max // len(positions), settings.batch_bytes_max)
        asked = {partition: (offset, each_max) for partition, offset in positions.items()}
        told, gone = asked, []
        if self._id != _NO_SESSION:
            told = {each: at for each, at in asked.items() if self._remembered.get(each) != at}
            gone = [each for each in self._remembered if each not in asked]
        self._remembered = asked
        return Fetch(
            _CONSUMER,
            int(settings.fetch_wait_seconds * 1000),
            1,
            settings.poll_bytes_max,
            READ_COMMITTED,
            self._id,
            self._epoch,
            [(self._full_name, [(each, _ANY_EPOCH, offset, _UNTOLD, most) for each, (offset, most) in told.items()])]
            if told
            else [],
            [(self._full_name, gone)] if gone else [],
            "",
        )

    def heard(self, response: Any) -> Sequence[Any] | None:  # aiokafka has no types
        """What the answer has of partitions; None where the session is over: ask again. Other codes are the caller's."""
        if response.error_code in (SESSION_UNKNOWN, SESSION_OUT_OF_STEP) and self._id != _NO_SESSION:
            self.lost()
            return None
        self._id = response.session_id
        if self._id == _NO_SESSION:
            self._epoch = _OPENS
        else:
            self._epoch = self._epoch + 1 if self._epoch < _EPOCH_MAX else 1
        return [part for _, parts in response.topics for part in parts]

    def lost(self) -> None:
        """No answer came, or no question got out: what the broker remembers is unknown."""
        self._id, self._epoch = _NO_SESSION, _OPENS
        self._remembered = {}
