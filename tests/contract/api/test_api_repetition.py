"""Repeating a creation under its Idempotency-Key: the first answer again, its headers included, without what is shown once."""

import pytest

from tests.unit.ingest.test_endpoint_secret import PAIR

MANUAL = {"name": "m", "trigger": {"manual": {}}, "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 60}}]}
TOLD_ONCE = {"secret", "note", "hook_url"}


@pytest.mark.parametrize(
    ("path", "body", "status", "shown_under"),
    [
        ("/api/v1/workflows", {**MANUAL, "name": "another"}, 201, "id"),
        ("/api/v1/workflows/{workflow}/clone", {"name": "copy"}, 201, "id"),
        ("/api/v1/workflows/{workflow}/runs", {}, 202, "run_id"),
        ("/api/v1/sources", {"name": "g", "vendor": "github", "secret": "s" * 32}, 201, "id"),
        ("/api/v1/sources", {"name": "t", "vendor": "generic", "settings": {"path_token": True}}, 201, "id"),
        ("/api/v1/endpoints", {"name": "drawn", "url": "https://example.com/"}, 201, "id"),
        ("/api/v1/endpoints", {"name": "pair", "url": "https://example.com/", "secret": PAIR}, 201, "id"),
    ],
)
async def test_a_repeated_creation_is_answered_as_the_first_was(world, path, body, status, shown_under):
    workflow = (await world.call("POST", "/api/v1/workflows", MANUAL)).expect(201)["id"]
    path = path.format(workflow=workflow)
    first = await world.call("POST", path, body, key="k")
    again = await world.call("POST", path, body, key="k")

    assert (first.status, again.status, again.headers["Idempotent-Replayed"]) == (status, status, "true")
    assert first.headers["Location"] == again.headers["Location"]
    assert first.headers["Location"].endswith(f"/{first.body[shown_under]}")
    for name in ("ETag", "Cache-Control", "Content-Type"):
        assert first.headers.get(name) == again.headers.get(name)
    kept = [{key: value for key, value in each.body.items() if key not in TOLD_ONCE} for each in (first, again)]
    assert kept[0] == kept[1]
    (await world.call("GET", first.headers["Location"])).expect(200)
