"""Every recorded vendor payload becomes an event, and every platform event is valid by the catalogue."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest

from services.ingest.sources import Delivery, Headers, Translated, discover
from services.ingest.sources.configure import read_settings
from shared.domain import catalogue
from shared.domain.json_text import read_json

CORPUS = Path(os.environ.get("UPSHOT_CORPUS", Path(__file__).parents[2].parent / "shared" / "corpus"))
TYPE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def rows(*path: str) -> Iterator[dict[str, object]]:
    file = CORPUS.joinpath(*path)
    if not file.is_file():
        pytest.skip("the corpus of vendor payloads is not here; set UPSHOT_CORPUS")
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def translated(vendor: str, payload: object, headers: dict[str, str]) -> Translated:
    """Through the bytes, as ingest goes."""
    body = json.dumps(payload).encode()
    delivery = Delivery(body=body, headers=Headers.of(headers.items()), received_at=0.0, source_name=vendor)
    source, settings = discover()[vendor], read_settings(vendor, {})
    read = read_json(source.json_text(delivery))
    assert read == payload
    (event,) = source.translate(delivery, read, settings)
    assert TYPE.fullmatch(event.type)
    assert "raw" not in event.data
    if (known := catalogue.lookup(event.type)) is not None:
        validator = jsonschema_rs.validator_for(dict(known.schema), validate_formats=True)
        validator.validate({**event.data, "raw": payload})
        assert event.subject
    return event


def test_github() -> None:
    for row in rows("github-webhooks", "payloads.jsonl"):
        payload = row["payload"]
        assert isinstance(payload, dict)
        event = translated("github", payload, {"X-GitHub-Event": str(row["event"])})
        action = payload.get("action")
        assert event.type == f"github.{row['event']}" + (f".{action}" if action else "")
        assert "note" not in event.data


def test_shopify() -> None:
    kinds: Counter[str] = Counter()
    for row in rows("shopify-webhooks", "payloads.jsonl"):
        event = translated("shopify", row["payload"], {"X-Shopify-Topic": str(row["topic"])})
        kinds[event.type] += 1
        if event.type == "order.refunded":
            assert event.data["amount_minor"] == 8500
            assert event.data["currency"] == "USD"
    assert kinds["order.created"] == kinds["order.refunded"] == kinds["customer.created"] == 3
    assert kinds["shopify.customer.tags_added"] == 3
    assert kinds["shopify.orders.paid"] == 3


def test_shopify_payloads_whose_values_were_replaced_are_kept_with_a_note() -> None:
    """Shapes of real payloads with "example string" for every amount: they never become platform events by guessing."""
    topics = {"orders/*": "orders/create", "refunds/*": "refunds/create"}
    seen = 0
    for row in rows("shopify-webhooks", "payloads.jsonl"):
        if (topic := topics.get(str(row["topic"]))) is not None:
            seen += 1
            event = translated("shopify", row["payload"], {"X-Shopify-Topic": topic})
            assert event.type == f"shopify.{topic.replace('/', '.')}"
            assert event.data["note"]
    assert seen


@pytest.mark.parametrize("file", ["events.jsonl", "events_generated.jsonl"])
def test_stripe(file: str) -> None:
    kinds: Counter[str] = Counter()
    for row in rows("stripe-events", file):
        event = translated("stripe", row["event"], {})
        kinds[event.type] += 1
        assert event.time is not None
        assert "note" not in event.data
    assert kinds["payment.succeeded"] >= 1
    assert kinds["payment.failed"] >= 1
    assert kinds["customer.created"] >= 1
    assert not any(kind.startswith("stripe.payment_intent.succeeded") for kind in kinds)
