"""Whatever gets lost on the way, the broker reads on from where the reader is."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from aiokafka.protocol.fetch import FetchRequest_v11
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.adapters.kafka.fetch_session import SESSION_OUT_OF_STEP, SESSION_UNKNOWN, Fetch, FetchSession
from shared.bus.adapters.kafka.reading import KafkaReader
from shared.bus.adapters.kafka.settings import KafkaSettings

NAME = "upshot.events"
VERSIONS = {FetchRequest_v11.API_KEY: (4, 17)}


@dataclass
class Broker:
    """Sessions as KIP-227 tells of them."""

    room: bool = True
    sessions: dict[int, tuple[int, dict[int, int]]] = field(default_factory=dict)
    """Number → the epoch that comes next, and the offset of each partition."""
    last: int = 0
    reads: dict[int, int] = field(default_factory=dict)
    """Of the last question: what is read on, and from where."""
    told: int = 0
    """How many partitions the last question named."""

    def answer(self, fetch: Fetch) -> Any:
        asked = fetch.prepare(VERSIONS)
        told = {each: offset for _, parts in asked.topics for each, _, offset, _, _ in parts}
        gone = {each for _, parts in asked.forgotten_topics_data for each in parts}
        self.told = len(told) + len(gone)
        if asked.session_epoch <= 0:
            assert asked.session_id == 0
            assert not gone
            self.reads = told
            number = 0
            if asked.session_epoch == 0 and self.room:
                number = self.last = self.last + 1
                self.sessions[number] = (1, told)
            return self._answered(number)
        if asked.session_id not in self.sessions:
            return self._answered(0, SESSION_UNKNOWN)
        epoch, remembered = self.sessions[asked.session_id]
        if epoch != asked.session_epoch:
            return self._answered(0, SESSION_OUT_OF_STEP)
        assert gone <= remembered.keys()
        self.reads = {each: offset for each, offset in (remembered | told).items() if each not in gone}
        self.sessions[asked.session_id] = (epoch + 1, self.reads)
        return self._answered(asked.session_id)

    def _answered(self, session_id: int, code: int = 0) -> Any:
        return SimpleNamespace(error_code=code, session_id=session_id, topics=[])


WANTED = st.dictionaries(st.integers(0, 7), st.integers(0, 3), min_size=1)
WHAT_HAPPENS = st.sampled_from(["answered", "question lost", "answer lost", "broker forgets", "broker is full"])


@given(st.lists(st.tuples(WANTED, WHAT_HAPPENS)))
def test_the_broker_reads_what_is_wanted_whatever_gets_lost(course: list[tuple[dict[int, int], str]]) -> None:
    broker = Broker()
    session = FetchSession(NAME, KafkaSettings())
    for wanted, happens in course:
        broker.room = happens != "broker is full"
        if happens == "broker forgets":
            broker.sessions.clear()
        question = session.question(wanted)
        if happens.endswith("lost"):
            if happens == "answer lost":
                broker.answer(question)
            session.lost()
            continue
        parts = session.heard(broker.answer(question))
        if parts is None:
            parts = session.heard(broker.answer(session.question(wanted)))
        assert parts is not None
        assert broker.reads == wanted


def test_who_reads_once_opens_nothing() -> None:
    broker = Broker()
    session = FetchSession(NAME, KafkaSettings())
    session.heard(broker.answer(session.question({0: 0})))
    assert not broker.sessions


def test_from_the_third_question_on_only_what_is_different_is_named() -> None:
    broker = Broker()
    session = FetchSession(NAME, KafkaSettings())
    wanted = dict.fromkeys(range(32), 0)
    named = []
    for moved in (0, 0, 0, 5, 5, 9):
        wanted[7] = moved
        session.heard(broker.answer(session.question(wanted)))
        named.append(broker.told)
    assert named == [32, 32, 0, 1, 0, 1]
    del wanted[3]
    session.heard(broker.answer(session.question(wanted)))
    assert broker.reads == wanted


class BrokenLink:
    """To that broker. One send goes wrong in a way that nobody has thought of."""

    began = True

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.mistake: Exception | None = None

    async def leaders(self, topic: str, partitions: Iterable[int]) -> Mapping[int, int]:
        del topic
        return dict.fromkeys(partitions, 1)

    async def send(self, node_id: int, request: Fetch, lane: object) -> Any:
        del node_id, lane
        await asyncio.sleep(0)
        mistake, self.mistake = self.mistake, None
        if mistake is not None:
            raise mistake
        return self.broker.answer(request)

    async def close(self, *_: object) -> None:
        """Nothing is open."""


async def test_a_new_partition_is_told_whatever_went_wrong_with_the_question_that_named_it() -> None:
    link: Any = BrokenLink(Broker())
    reader = KafkaReader("events", NAME, link, cast(Any, None), KafkaSettings(), give_back=link.close)
    reader.assign({0: 0})
    await reader.poll(timeout_seconds=0.02)
    assert link.broker.sessions
    await asyncio.sleep(0.01)  # what is under way ends: the same session is asked next
    link.mistake = RuntimeError("a mistake of our own")
    reader.assign({0: 0, 1: 0})
    await reader.poll(timeout_seconds=0.02)
    assert link.mistake is None and link.broker.reads == {0: 0, 1: 0}
    await reader.close()
