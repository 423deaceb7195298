"""Workflow documents and published events as tests write them: short, whole, and read like the sentence they mean."""

from typing import Any

from shared.runtime.clock import draw_token

Document = dict[str, Any]  # JSON as a tenant writes it

SOON = {"max_attempts": 4, "backoff": "fixed", "initial_seconds": 0.2}
"""A retry that does not keep a test waiting."""
ONCE = {"max_attempts": 1, "backoff": "fixed", "initial_seconds": 0}

COUNT: Document = {
    "count": {
        "event": "authz.denied",
        "times": 3,
        "within_seconds": 60,
        "lateness_seconds": 30,
        "key": "{{ event.data.user }}",
    }
}
"""A trigger: three refusals of one user within a minute."""
ABSENCE: Document = {
    "absence": {
        "after": {"event": "order.created"},
        "of": {"event": "order.paid"},
        "within_seconds": 60,
        "lateness_seconds": 30,
        "key": "{{ event.data.order }}",
    }
}
"""A trigger: an order that is not paid within a minute."""


def workflow(name: str, on: str, *steps: Document, **more: Any) -> Document:
    """Started by events of the type `on`."""
    return {"name": name, "trigger": {"event": on}, "steps": list(steps), **more}


def tell(endpoint: str, step_id: str = "tell", **more: Any) -> Document:
    """A signed delivery to an endpoint."""
    config = {"endpoint": endpoint}
    if "body" in more:
        config["body"] = more.pop("body")
    return {"id": step_id, "uses": "notify.webhook", "with": config, "retry": SOON, **more}


def call(url: str, step_id: str = "call", **more: Any) -> Document:
    """A POST that nobody may repeat."""
    config = {"method": "POST", "url": url, "body": more.pop("body", {"event": "{{ event.id }}"})}
    return {"id": step_id, "uses": "http.request", "with": config, **more}


def wait(seconds: float, step_id: str = "pause") -> Document:
    return {"id": step_id, "uses": "wait", "with": {"seconds": seconds}}


def emit(event_type: str, step_id: str = "emit", **config: Any) -> Document:
    return {"id": step_id, "uses": "event.emit", "with": {"type": event_type, **config}}


def cloud_event(event_type: str, data: Any = None, *, event_id: str | None = None, **attributes: Any) -> Document:
    """As an upstream service publishes it."""
    return {
        "specversion": "1.0",
        "id": event_id or draw_token(9),
        "source": "/shop",
        "type": event_type,
        "data": {} if data is None else data,
        **attributes,
    }
