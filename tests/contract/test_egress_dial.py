"""The guard itself: each layer holds alone, should the one before it ever be passed by."""

import asyncio
import socket
import threading

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.runtime.clock import SystemClock
from shared.runtime.egress import (
    EgressPolicy,
    EgressRefused,
    EgressSettings,
    OutgoingClient,
    OutgoingRequest,
    parse_url,
)
from shared.runtime.egress.dial import GuardedResolver, SystemResolver, calling, dialling, guarded_socket_factory
from shared.runtime.egress.trouble import DialRefused
from shared.testing.receivers import Reply, ScriptedNames, receiver

CLOCK = SystemClock()


def _unguarded_session(resolver: AbstractResolver, policy: EgressPolicy) -> aiohttp.ClientSession:
    """A session whose resolver checks nothing: only the sockets are guarded."""
    connector = aiohttp.TCPConnector(
        resolver=resolver, use_dns_cache=False, socket_factory=guarded_socket_factory(policy)
    )
    return aiohttp.ClientSession(connector=connector)


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["127.0.0.1", "::1"]])
async def test_the_socket_refuses_what_a_resolver_let_slip(answers: list[str]) -> None:
    async with receiver(CLOCK) as it:
        names = ScriptedNames({"hooks.example.com": [answers]})
        url = it.url(host="hooks.example.com")
        async with _unguarded_session(names, EgressPolicy()) as session:
            token = dialling.set(parse_url(url))
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post(url)
            dialling.reset(token)
        assert it.requests == []


async def test_the_clients_own_sockets_are_guarded_too() -> None:
    # Given an answer that is public when it is checked and loopback when it is dialled
    class TwoFaced(dict[str, object]):
        reads = 0

        def __getitem__(self, key: str) -> object:
            if key != "host":
                return super().__getitem__(key)
            self.reads += 1
            return "93.184.216.34" if self.reads == 1 else "127.0.0.1"

    class Lying(ScriptedNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            honest = await super().resolve(host, port, family)
            return [TwoFaced(answer) for answer in honest]  # type: ignore[misc]  # lying is the point

    async with receiver(CLOCK) as it:
        names = Lying({"hooks.example.com": [["93.184.216.34"]]})
        async with await OutgoingClient.open(EgressSettings(), clock=CLOCK, resolver=names) as client:
            with pytest.raises(EgressRefused) as caught:
                await client.send(
                    OutgoingRequest(method="POST", url=it.url(host="hooks.example.com"), timeout_seconds=5)
                )
        assert caught.value.kind == "address"
        assert it.requests == []


async def test_a_socket_outside_of_a_checked_call_or_on_another_port_is_refused() -> None:
    make = guarded_socket_factory(EgressPolicy())
    public = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("93.184.216.34", 443))
    with pytest.raises(DialRefused):
        make(public)
    token = dialling.set(parse_url("https://hooks.example.com:8443/"))
    with pytest.raises(DialRefused):
        make(public)
    dialling.reset(token)
    token = dialling.set(parse_url("https://hooks.example.com/"))
    make(public).close()
    dialling.reset(token)


async def test_one_blocked_answer_refuses_the_whole_name() -> None:
    names = ScriptedNames({"mixed.example": [["93.184.216.34", "10.0.0.1"]]})
    guarded = GuardedResolver(names, EgressPolicy(), timeout_seconds=1)
    with pytest.raises(EgressRefused) as caught:
        await guarded.resolve("mixed.example", 443)
    assert "10.0.0.1" not in str(caught.value), "what a name means inside is not told to tenants"


async def test_each_new_connection_looks_the_name_up_again() -> None:
    # Given a name that was the operator's allowed network first and is metadata after
    async with receiver(CLOCK) as it:
        it.behave("/", Reply(headers={"Connection": "close"}))
        names = ScriptedNames({"hooks.example.com": [["127.0.0.1"], ["169.254.169.254"]]})
        settings = EgressSettings(allow=f"127.0.0.0/8:{it.port}")
        async with await OutgoingClient.open(settings, clock=CLOCK, resolver=names) as client:
            request = OutgoingRequest(method="POST", url=it.url(host="hooks.example.com"), timeout_seconds=5)
            assert (await client.send(request)).status == 200
            # When the first connection is gone, then the answer of now decides
            with pytest.raises(EgressRefused):
                await client.send(request)
    assert names.asked == ["hooks.example.com"] * 2


async def test_callers_of_one_name_share_one_look_up_and_none_waits_on_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a name server that is silent about one name (the system's function stands in for the network)
    asked: list[str] = []
    silent = threading.Event()

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host == "silent.example":
            silent.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver(threads=3)  # one of them is left for other tenants
    # When many ask for it, and one for another name
    waiting = [asyncio.create_task(resolver.resolve("silent.example", 443)) for _ in range(20)]
    [answer] = await asyncio.wait_for(resolver.resolve("fine.example", 443), 5)
    # Then the other name is answered, and a caller that gives up takes nobody with it
    assert answer["host"] == "93.184.216.34"
    waiting[0].cancel()
    silent.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, list) for result in results[1:])
    assert asked.count("silent.example") == 1
    await resolver.close()


async def test_names_of_one_tenant_that_nobody_answers_do_not_stop_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a tenant whose name server never answers, and who names a busy host behind that
    silent = threading.Event()
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host.startswith("silent"):
            silent.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver(threads=4)

    async def resolve(tenant_id: str, host: str) -> list[ResolveResult]:
        calling.set(tenant_id)
        return await resolver.resolve(host, 443)

    hosts = [*(f"silent{number}.example" for number in range(20)), "busy.example"]
    waiting = [asyncio.create_task(resolve("one", host)) for host in hosts]
    await asyncio.sleep(0)
    # When another tenant calls that host, and one of its own, then both are looked up at once
    for host in ("busy.example", "own.example"):
        [answer] = await asyncio.wait_for(asyncio.create_task(resolve("other", host)), 5)
        assert answer["host"] == "93.184.216.34"
    await asyncio.wait_for(waiting[-1], 5)
    # When the first one gives most of them up, then nobody asks for those any more
    for each in waiting[4:-1]:
        each.cancel()
    silent.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    [answer] = await asyncio.wait_for(asyncio.create_task(resolve("one", "last.example")), 5)
    assert sorted(asked) == ["busy.example", "last.example", "own.example", *(hosts[:4])]
    await resolver.close()


async def test_a_resolver_that_closes_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        silent.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver(threads=1)
    waiting = [asyncio.create_task(resolver.resolve(host, 443)) for host in ("a.example", "b.example")]
    await asyncio.sleep(0)
    await resolver.close()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(each, asyncio.CancelledError) for each in results)
    silent.set()


async def test_a_name_is_looked_up_for_the_tenant_whose_call_it_is() -> None:
    asked_for: list[str] = []

    class Noting(ScriptedNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            asked_for.append(calling.get())
            return await super().resolve(host, port, family)

    async with receiver(CLOCK) as it:
        names = Noting({"hooks.example.com": [["127.0.0.1"]]})
        settings = EgressSettings(allow=f"127.0.0.0/8:{it.port}")
        async with await OutgoingClient.open(settings, clock=CLOCK, resolver=names) as client:
            url = it.url(host="hooks.example.com")
            await client.send(OutgoingRequest(method="POST", url=url, timeout_seconds=5, tenant_id="acme"))
    assert asked_for == ["acme"]
    assert calling.get() == ""
