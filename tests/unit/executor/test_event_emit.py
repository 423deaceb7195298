"""`event.emit` is held to what publishers are: on saving where the settings are written out, else once they are rendered."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.executor.actions import Attempt, Refused, Scene, Tools
from services.executor.actions.event_emit import ACTION
from shared.domain.catalogue import lookup

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SCENE = cast("Scene", SimpleNamespace(run=SimpleNamespace(id="r", match=SimpleNamespace(workflow_id="w")), step_id="s"))
REFUND = lookup("order.refunded")
OWN = "the platform's own"


def flaws(**config: Any) -> dict[str, str]:
    return {flaw.pointer: flaw.detail for flaw in ACTION.flaws(config)}


@pytest.mark.parametrize("name", ["upshot.schedule.fired", "upshot.webhook.received", "upshot.anything"])
def test_a_type_of_the_platforms_own_is_refused(name: str) -> None:
    assert OWN in flaws(type=name)["#/type"]
    assert list(flaws(type=name + "{{ event.type }}")) == ["#/type"]
    with pytest.raises(Refused, match=OWN) as refused:
        ACTION.prepare({"type": name}, SCENE, NOW)
    assert refused.value.problem.kind == "invalid_event"


def test_data_that_the_catalogue_refuses_is_told_on_saving_where_it_is_written_out() -> None:
    assert flaws(type="order.refunded", data={}).keys() == {"#/data"}
    assert flaws(type="order.refunded").keys() == {"#/data"}
    assert flaws(type="order.refunded", data={"order_id": ["{{ event.subject }}"]}) == {}
    assert flaws(type="shop.refunded", data={}) == {}
    assert flaws(type="{{ event.type }}", data={}) == {}


def test_data_that_the_catalogue_refuses_is_not_emitted() -> None:
    with pytest.raises(Refused, match="#/data") as refused:
        ACTION.prepare({"type": "order.refunded", "data": {}}, SCENE, NOW)
    assert refused.value.problem.kind == "invalid_event"
    assert REFUND is not None
    example = dict(REFUND.examples[0])
    assert ACTION.prepare({"type": "order.refunded", "data": example}, SCENE, NOW).request["data"] == example


@pytest.mark.parametrize("subject", ["a\x07b", "a\0b", "a\x85", "\uffff"])
def test_a_subject_that_no_publisher_may_send_is_not_emitted(subject: str) -> None:
    with pytest.raises(Refused, match="#/subject holds") as refused:
        ACTION.prepare({"type": "shop.seen", "subject": subject}, SCENE, NOW)
    assert refused.value.problem.kind == "invalid_event"
    assert ACTION.prepare({"type": "shop.seen", "subject": "Zoë 7"}, SCENE, NOW).request["subject"] == "Zoë 7"


@pytest.mark.parametrize(
    ("event_type", "data", "kind"),
    [
        ("upshot.schedule.fired", {}, "invalid_event"),
        ("order.refunded", {}, "invalid_event"),
        ("shop.seen", {"text": "x" * 262_144}, "too_large"),
    ],
)
async def test_what_an_earlier_version_froze_is_judged_before_it_is_appended(
    event_type: str, data: dict[str, object], kind: str
) -> None:
    request = {"id": "e", "source": "/s", "type": event_type, "subject": None, "time": NOW.isoformat(), "data": data}
    attempt = Attempt(scene=SCENE, number=1, attempt_id="a", request=request, timeout_seconds=1)
    published: list[object] = []
    tools = cast("Tools", SimpleNamespace(publish=published.append))

    outcome = await ACTION.perform(attempt, tools)

    assert (outcome.status, outcome.retry, published) == ("failed", False, [])
    assert outcome.problem is not None
    assert outcome.problem.kind == kind
