"""The receivers that other tests trust: what they record, how they wait, and how they judge a signature."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.clock import SystemClock
from shared.testing.receivers import Hang, Received, Reply, receiver, redirect_to, signature_flaws

CLOCK = SystemClock()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_ROOT = Path(__file__).resolve().parents[2]
_VECTORS = Path(os.environ.get("UPSHOT_CORPUS", _ROOT.parent / "shared" / "corpus")) / "signatures" / "vectors.json"


def _received(headers: dict[str, str], body: bytes) -> Received:
    lower = {name.lower(): value for name, value in headers.items()}
    return Received(method="POST", path_qs="/", headers=lower, body=body, at_seconds=0.0)


def _signed(body: bytes, *, identity: str = "msg_1", stamp: int = 1_614_265_330, secret: str = SECRET) -> Received:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b"%s.%d.%s" % (identity.encode(), stamp, body), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return _received({"webhook-id": identity, "webhook-timestamp": str(stamp), "webhook-signature": signature}, body)


def _vectors() -> list[dict[str, Any]]:
    if not _VECTORS.is_file():
        return []
    return [
        vector
        for vector in json.loads(_VECTORS.read_text(encoding="utf-8"))
        # Symmetric keys only; where libraries disagree (`policy`) this judge is the stricter one.
        if vector["scheme"] == "standard-webhooks" and "whpk_" not in vector["secret"] and "policy" not in vector
    ]


@pytest.mark.skipif(not _VECTORS.is_file(), reason="the conformance corpus is not here; set UPSHOT_CORPUS")
def test_signatures_are_judged_as_the_reference_libraries_judge_them() -> None:
    wrong = [
        (vector["id"], vector["note"])
        for vector in _vectors()
        if vector["valid"]
        != (
            not signature_flaws(
                [vector["secret"]], _received(vector["headers"], vector["body"].encode()), vector["now"]
            )
        )
    ]
    assert wrong == []


@given(st.binary(max_size=200), st.integers(-300, 300))
def test_a_signed_body_passes_within_the_tolerance_and_any_change_fails(body: bytes, drift_seconds: int) -> None:
    received = _signed(body)
    now = 1_614_265_330 + drift_seconds
    assert signature_flaws([SECRET], received, now) == []
    other = "whsec_" + base64.b64encode(b"another key of some length").decode()
    assert signature_flaws([other, SECRET], received, now) == []
    assert signature_flaws([other], received, now) == ["no signature of webhook-signature fits"]
    changed = _received(dict(received.headers), body + b" ")
    assert signature_flaws([SECRET], changed, now) == ["no signature of webhook-signature fits"]


def test_an_old_stamp_and_a_dotted_id_are_each_named() -> None:
    received = _signed(b"{}", identity="msg.1")
    flaws = signature_flaws([SECRET], received, 1_614_265_330 + 301)
    assert flaws == ["webhook-id is 'msg.1'", "webhook-timestamp is 301 s away"]


async def test_a_script_is_played_in_order_and_its_last_line_stays() -> None:
    async with receiver(CLOCK) as it, aiohttp.ClientSession() as session:
        it.behave("/a", Reply(status=503), redirect_to("/b"), Reply(status=410))
        statuses = []
        for _ in range(4):
            async with session.post(it.url("/a"), allow_redirects=False) as response:
                statuses.append(response.status)
        async with session.post(it.url("/b?x=1"), data=b"raw") as response:
            statuses.append(response.status)
    assert statuses == [503, 302, 410, 410, 200]
    assert [request.path_qs for request in it.requests] == ["/a"] * 4 + ["/b?x=1"]
    assert it.received("/b")[0].body == b"raw"
    assert [request.at_seconds for request in it.requests] == sorted(request.at_seconds for request in it.requests)


async def test_waiting_ends_when_the_request_comes_and_says_how_many_had_when_it_does_not() -> None:
    async with receiver(CLOCK) as it, aiohttp.ClientSession() as session:
        it.behave("/", Hang(then=Reply(body=b"at last")))
        waiting = asyncio.create_task(it.wait_for(1, path="/"))
        call = asyncio.create_task(_read(session, it.url("/")))
        [request] = await waiting
        assert request.method == "GET"
        assert not call.done()
        with pytest.raises(TimeoutError, match="1 of 2 requests"):
            await it.wait_for(2, timeout_seconds=0.05)
        it.release("/")
        assert await call == b"at last"


async def _read(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        return await response.read()
