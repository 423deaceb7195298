"""What a record keeps of a request that held a secret: enough to know its repetition by, nothing to test guesses against."""

import re

from services.api.core.commands import plain_hash, request_text
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.sealing import Sealer
from tests.contract.api.conftest import MASTER_KEY
from tests.contract.api.test_api_hooks import document, everything_in_the_log, made

SOURCE = {"name": "g", "vendor": "github", "secret": "summer2026"}
ENDPOINT = {"name": "f", "url": "https://example.com/", "secret": "whsec_" + "c3VtbWVy" * 4}
ROTATION = {"secret": "whsec_" + "YXV0dW1u" * 4, "overlap_seconds": 60}


async def test_no_record_holds_a_hash_that_guesses_of_a_secret_could_be_tested_against(world):
    workflow_id, hook = await made(world, document())
    rotate = f"/api/v1/workflows/{workflow_id}/hooks/{hook['id']}/rotate"
    for path, body, status in (
        ("/api/v1/sources", SOURCE, 201),
        ("/api/v1/endpoints", ENDPOINT, 201),
        (rotate, ROTATION, 200),
    ):
        (await world.call("POST", path, body, key=path[-20:])).expect(status)
        logged = await everything_in_the_log(world)
        assert plain_hash(request_text("POST", path, body)).encode() not in logged
        shown = world.sealer.fingerprint("acme", request_text("POST", path, body))
        assert shown in re.findall(r'"payload_hash":"([0-9a-f]{64})"', logged.decode())


async def test_a_repetition_is_recognised_after_a_restart(world, monkeypatch):
    first = (await world.call("POST", "/api/v1/sources", SOURCE, key="s")).expect(201)
    restarted = Sealer(None, MASTER_KEY, SystemRandomness(), SystemClock())
    monkeypatch.setattr(world.sealer, "fingerprint", restarted.fingerprint)
    again = await world.call("POST", "/api/v1/sources", SOURCE, key="s")
    assert again.expect(201)["id"] == first["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    (await world.call("POST", "/api/v1/sources", {**SOURCE, "secret": "winter2026"}, key="s")).expect(422)


async def test_a_repetition_is_recognised_after_an_update(world, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(world.sealer, "fingerprint", lambda _, request: plain_hash(request))
        (await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="of-0.1")).expect(201)
    again = await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="of-0.1")
    again.expect(201)
    assert again.headers["Idempotent-Replayed"] == "true"
