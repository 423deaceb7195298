"""One batch: which recorded payloads are sent, in which order, and what should become of each. Pure."""

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

TENANT = "demo"
SOURCES: Mapping[str, str] = {"code": "github", "payments": "stripe", "shop": "shopify"}
"""Source name -> vendor."""
ENDPOINTS = ("engineering", "finance", "operations")
REFUND, HOLD, ORDER, TRIAGE = "refund-needs-a-person", "hold-account", "large-order", "triage"
WORKFLOWS = (REFUND, HOLD, ORDER, TRIAGE)
"""Files in `workflows/`."""
RECEIVER_PLACE = "http://receiver.demo"
"""Stands in the workflow files where the receiver of this demo is called."""

Fate = Literal["unmatched", "succeeded", "granted", "denied", "duplicate", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One delivery, and its fate if all is well."""

    key: str
    source: str
    title: str
    payload: str
    event: str | None
    """What the vendor names in a header; None: it stands in the body."""
    fate: Fate
    workflow: str | None = None
    step: str | None = None
    """The step whose signed webhook the receiver must get."""
    repeats: str | None = None
    """The delivery that this one is, once more."""


# What matches nothing comes before what does: a tenant's events are matched in order, so the last run proves it was seen.
BATCH: Sequence[Planned] = (
    Planned(key="push", source="code", title="push", payload="github-push", event="push", fate="unmatched"),
    Planned(
        key="paid",
        source="payments",
        title="payment_intent.succeeded",
        payload="stripe-payment_intent-succeeded",
        event=None,
        fate="unmatched",
    ),
    Planned(
        key="issue",
        source="code",
        title="issues, opened",
        payload="github-issues-opened",
        event="issues",
        fate="succeeded",
        workflow=TRIAGE,
        step="tell_engineering",
    ),
    Planned(
        key="again",
        source="code",
        title="issues, opened (sent again)",
        payload="github-issues-opened",
        event="issues",
        fate="duplicate",
        workflow=TRIAGE,
        repeats="issue",
    ),
    Planned(
        key="pull",
        source="code",
        title="pull_request, opened",
        payload="github-pull_request-opened",
        event="pull_request",
        fate="succeeded",
        workflow=TRIAGE,
        step="tell_engineering",
    ),
    Planned(
        key="forged",
        source="shop",
        title="orders/create (forged)",
        payload="shopify-orders-create",
        event="orders/create",
        fate="refused",
    ),
    Planned(
        key="order",
        source="shop",
        title="orders/create",
        payload="shopify-orders-create",
        event="orders/create",
        fate="succeeded",
        workflow=ORDER,
        step="tell_operations",
    ),
    Planned(
        key="failed",
        source="payments",
        title="payment_intent.payment_failed",
        payload="stripe-payment_intent-payment_failed",
        event=None,
        fate="denied",
        workflow=HOLD,
    ),
    Planned(
        key="refund",
        source="shop",
        title="refunds/create",
        payload="shopify-refunds-create",
        event="refunds/create",
        fate="granted",
        workflow=REFUND,
        step="tell_finance",
    ),
)


def body_of(planned: Planned, number: str) -> bytes:
    """The recorded payload. Stripe names a delivery in its body, and the recording has a placeholder there."""
    payload = orjson.loads(_resource("payloads", f"{planned.payload}.json"))
    if SOURCES[planned.source] == "stripe":
        payload["id"] = f"evt_demo_{number}"
    return orjson.dumps(payload)


def workflow_text(name: str, receiver_url: str) -> str:
    """A workflow's YAML, calling this demo's receiver."""
    return _resource("workflows", f"{name}.yaml").decode().replace(RECEIVER_PLACE, receiver_url)


def _resource(folder: str, name: str) -> bytes:
    return (importlib.resources.files(__package__) / folder / name).read_bytes()
