"""The first line of a trace: the delivery that began it, or that none did."""

from datetime import UTC, datetime

import pytest

from services.tracing import Chain, Traced, render
from shared.bus.port import Record
from shared.bus.topics import EVENTS
from shared.domain.envelope import Event

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cause", "title"),
    [("d-1", "[bold]delivery[/] d-1"), (None, "[bold]no delivery[/]: it began with what stands first")],
)
def test_a_chain_without_a_delivery_names_none(cause: str | None, title: str) -> None:
    event = Event(id="e", source="/clock", type="shop.sold", tenant_id="acme", data=None, causation_id=cause)
    record = Record(topic=EVENTS, partition=0, offset=0, key=b"acme", headers=(), value=None, recorded_at=NOW)
    chain = Chain(root_id="e", records={"e": Traced(record, event)})
    assert render(chain).label == title
