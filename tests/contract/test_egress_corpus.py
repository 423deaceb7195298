"""Every recorded way to reach what must not be reached, through the whole chain: save, look up, dial."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import idna
import pytest

from shared.domain.errors import InvalidInput
from shared.runtime.clock import SystemClock
from shared.runtime.egress import (
    EgressPolicy,
    EgressRefused,
    EgressSettings,
    OutgoingClient,
    OutgoingRequest,
    ReceiverUnreachable,
    Target,
    check_url,
)
from shared.runtime.egress.dial import GuardedResolver, dialling, guarded_socket_factory
from shared.runtime.egress.trouble import DialRefused
from shared.testing.receivers import ScriptedNames, receiver, redirect_to

_ROOT = Path(__file__).resolve().parents[2]
_CASES = Path(os.environ.get("UPSHOT_CORPUS", _ROOT.parent / "shared" / "corpus")) / "ssrf" / "cases.jsonl"


def _load() -> list[dict[str, Any]]:
    if not _CASES.is_file():
        return []
    return [json.loads(line) for line in _CASES.read_text(encoding="utf-8").splitlines() if line]


CASES = _load()
STATIC = [case for case in CASES if case["category"] not in ("redirect", "rebinding")]
pytestmark = pytest.mark.skipif(not CASES, reason="the conformance corpus is not here; set UPSHOT_CORPUS")


def _names(case: dict[str, Any]) -> ScriptedNames:
    table = {name: [addresses] for name, addresses in case.get("dns", {}).items()}
    table |= case.get("dns_sequence", {})
    return ScriptedNames({_canonical(name): answers for name, answers in table.items()})


def _canonical(name: str) -> str:
    text = name.lower().removesuffix(".")
    return text if text.isascii() else idna.encode(text).decode()


async def _socket_would_be_made(target: Target, names: ScriptedNames, policy: EgressPolicy) -> bool:
    """The whole chain up to a socket that is never connected."""
    guarded = GuardedResolver(names, policy, timeout_seconds=1)
    if target.address is not None:
        addresses = [target.host]
    else:
        addresses = [answer["host"] for answer in await guarded.resolve(target.host, target.port)]
    token = dialling.set(target)
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            tail = (0, 0) if ":" in address else ()
            guarded_socket_factory(policy)(
                (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, target.port, *tail))
            ).close()
    finally:
        dialling.reset(token)
    return True


async def _outcome(case: dict[str, Any]) -> str:
    policy = EgressPolicy()
    try:
        target = check_url(case["url"], policy)
        await _socket_would_be_made(target, _names(case), policy)
    except (InvalidInput, EgressRefused, ReceiverUnreachable, DialRefused):
        return "blocked"
    return "allowed"


@pytest.mark.parametrize("case", STATIC, ids=[case["id"] for case in STATIC])
async def test_a_url_is_judged_as_recorded(case: dict[str, Any]) -> None:
    assert await _outcome(case) == case["expected"], case["why"]


async def test_the_client_refuses_what_was_saved_by_older_rules() -> None:
    # Nothing is saved here: the client alone must hold, whatever stands in the log. One client for each set of names.
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in STATIC:
        if case["expected"] == "blocked":
            groups.setdefault(json.dumps(case.get("dns", {}), sort_keys=True), []).append(case)
    kinds = set()
    for cases in groups.values():
        async with await OutgoingClient.open(
            EgressSettings(), clock=SystemClock(), resolver=_names(cases[0])
        ) as client:
            for case in cases:
                with pytest.raises((EgressRefused, ReceiverUnreachable)) as caught:
                    await client.send(OutgoingRequest(method="POST", url=case["url"], body=b"{}", timeout_seconds=2))
                assert isinstance(caught.value, EgressRefused | ReceiverUnreachable)
                kinds.add(caught.value.kind)
    assert kinds == {"url", "host", "port", "address", "dns"}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["category"] == "redirect"], ids=lambda case: case["id"]
)
async def test_a_redirect_is_an_answer_and_nothing_is_sent_there(case: dict[str, Any]) -> None:
    # Given a receiver that the operator allows, and that sends its client elsewhere
    async with receiver(SystemClock()) as it:
        it.behave("/hook", redirect_to(case["redirect_to"]))
        settings = EgressSettings(allow=f"hooks.example.com:{it.port}")
        names = ScriptedNames({"hooks.example.com": [["127.0.0.1"]]})
        async with await OutgoingClient.open(settings, clock=SystemClock(), resolver=names) as client:
            # When we call it
            answer = await client.send(
                OutgoingRequest(method="POST", url=it.url("/hook", host="hooks.example.com"), timeout_seconds=5)
            )
        # Then its answer is all we have, and no other name was asked for
        assert (answer.status, answer.headers["location"]) == (302, case["redirect_to"])
        assert len(it.requests) == 1
        assert names.asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["category"] == "rebinding"], ids=lambda case: case["id"]
)
async def test_a_name_that_changes_its_mind_is_judged_by_the_answer_dialled(case: dict[str, Any]) -> None:
    names = _names(case)
    policy = EgressPolicy()
    # Given a URL whose first look-up was fine
    target = check_url(case["url"], policy)
    assert await _socket_would_be_made(target, names, policy)
    # When the call looks it up again, then the second answer decides
    async with await OutgoingClient.open(EgressSettings(), clock=SystemClock(), resolver=names) as client:
        with pytest.raises(EgressRefused) as caught:
            await client.send(OutgoingRequest(method="POST", url=case["url"], timeout_seconds=2))
    assert caught.value.kind == "address"
    assert len(names.asked) == 2
