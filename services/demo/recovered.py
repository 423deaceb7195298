"""At a later start: what earlier ones did, as the platform tells it now, compared with what was seen then."""

from dataclasses import dataclass

from services.demo.client import Json, Person, until
from services.demo.memory import Memory, Seen
from services.demo.story import Expectation
from services.foundation import Foundation
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """`runs_by_status` counts all of the tenant's runs, those of an interrupted batch too."""

    at: str
    rows: tuple[tuple[Seen, Json], ...]
    events: int
    runs_by_status: dict[str, int]
    expectations: tuple[Expectation, ...]


async def wait_until_level(ground: Foundation, person: Person) -> None:
    """Until the read model has folded all that the log holds."""

    async def level() -> bool | None:
        for topic in (DEFINITIONS, EVENTS, RUNS):
            ends = await ground.bus.watermarks(topic)
            folded = await ground.readmodel.next_offsets(topic)
            if any(folded.get(partition, 0) < each.high for partition, each in ends.items() if each.high):
                return None
        return True

    await until(level, "the read model is level with the log", person.clock)


async def recover(person: Person, memory: Memory) -> Recovered:
    """The last whole batch row by row; every remembered run is compared."""
    expectations = []
    for batch in memory.batches:
        same = 0
        for seen in batch.seen:
            same += await _is_as_seen(person, seen)
        expectations.append(
            Expectation(
                what=f"the batch of {batch.at} is as it was",
                held=same == len(batch.seen),
                found=f"{same} of {len(batch.seen)}",
            )
        )
    runs = await person.items("/api/v1/runs")
    events = await person.items("/api/v1/events")
    last = memory.batches[-1] if memory.batches else None
    by_id = {run["id"]: run for run in runs}
    counts: dict[str, int] = {}
    for run in runs:
        counts[run["status"]] = counts.get(run["status"], 0) + 1
    return Recovered(
        at=last.at if last else "",
        rows=tuple((seen, by_id.get(seen.run_id)) for seen in (last.seen if last else ())),
        events=len(events),
        runs_by_status=counts,
        expectations=tuple(expectations),
    )


async def _is_as_seen(person: Person, seen: Seen) -> bool:
    event = await person.request("GET", f"/api/v1/events/{seen.event_id}")
    if event.status != 200 or event.body["type"] != seen.event_type:
        return False
    if seen.run_id is None:
        return not event.body["runs"]
    return any(run["id"] == seen.run_id and run["status"] == seen.status for run in event.body["runs"])
