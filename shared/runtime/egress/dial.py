"""The guard on what is actually dialled: every answer of every look-up, and every socket before it connects.

Nothing is cached between look-ups, so a name that changes its mind (DNS rebinding) is judged by the answer used.
A name with even one blocked answer is refused whole: an honest receiver has none. Next: `client.py`.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.domain.addresses import Address
from shared.domain.fair_queue import Bounds, FairQueue
from shared.runtime.egress.policy import EgressPolicy
from shared.runtime.egress.trouble import DialRefused, EgressRefused, ReceiverTimeout, ReceiverUnreachable
from shared.runtime.egress.url import Target

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

# What the running call may dial. Set by the client around each call; a socket asked for outside of one is refused.
dialling: ContextVar[Target | None] = ContextVar("egress_dialling", default=None)

calling: ContextVar[str] = ContextVar("egress_calling", default="")
"""Whose call it is: a tenant's id."""

_ONE_LANE = ""


@dataclass(slots=True, eq=False)
class _Lookup:
    """Of one name, for all who want it. `callers`: how many still wait; `queued`: for whom it waits for its turn."""

    key: tuple[str, int, socket.AddressFamily]
    answer: asyncio.Future[list[ResolveResult]]
    callers: int = 0
    queued: set[str] = field(default_factory=set)
    begun: bool = False


class SystemResolver(AbstractResolver):
    """The system's getaddrinfo on threads of its own, one look-up a name at a time.

    The loop's default threads are few (libuv has four) and shared: a name server that never answers would hold up
    every file and every other name. Here it holds one thread, and callers of the same name share its answer. However many
    names of one tenant are never answered, others' are looked up at once (`shared/domain/fair_queue.py`).
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="egress-dns")
        self._lookups: dict[tuple[str, int, socket.AddressFamily], _Lookup] = {}
        self._queue: FairQueue[_Lookup] = FairQueue(Bounds(total=threads, per_tenant=threads, per_lane=threads))
        self._closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        key = (host, port, family)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = _Lookup(key, asyncio.get_running_loop().create_future())
        lookup.callers += 1
        tenant_id = calling.get()
        if not lookup.begun and tenant_id not in lookup.queued:
            lookup.queued.add(tenant_id)
            self._queue.put(tenant_id, _ONE_LANE, lookup)
            self._begin_next()
        try:
            return await asyncio.shield(lookup.answer)
        finally:
            lookup.callers -= 1

    async def close(self) -> None:
        # Not waited for: a stuck look-up ends by the system's own timeout, and must not hold up a shutdown.
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for lookup in self._lookups.values():
            lookup.answer.cancel()

    def _begin_next(self) -> None:
        while not self._closed and (taken := self._queue.take()) is not None:
            tenant_id, _, lookup = taken
            if lookup.callers and not lookup.begun:
                lookup.begun = True
                running = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, *lookup.key)
                running.add_done_callback(partial(self._end, lookup, tenant_id))
            else:  # nobody waits for it any more, or another tenant's turn came first
                if not lookup.begun:
                    self._forget(lookup)
                self._queue.done(tenant_id, _ONE_LANE)

    def _end(self, lookup: _Lookup, tenant_id: str, done: "asyncio.Future[list[ResolveResult]]") -> None:
        self._forget(lookup)
        self._queue.done(tenant_id, _ONE_LANE)
        if done.cancelled() or lookup.answer.done():  # closed
            lookup.answer.cancel()
        elif (trouble := done.exception()) is not None:
            lookup.answer.set_exception(trouble)
            lookup.answer.exception()  # seen: every caller may have given up by now
        else:
            lookup.answer.set_result(done.result())
        self._begin_next()

    def _forget(self, lookup: _Lookup) -> None:
        if self._lookups.get(lookup.key) is lookup:
            del self._lookups[lookup.key]


class GuardedResolver(AbstractResolver):
    """Answers of an inner resolver, let through only when the policy allows every one of them."""

    def __init__(self, inner: AbstractResolver, policy: EgressPolicy, *, timeout_seconds: float) -> None:
        self._inner = inner
        self._policy = policy
        self._timeout_seconds = timeout_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answers = await self._inner.resolve(host, port, family)
        except TimeoutError:
            raise ReceiverTimeout("dns_timeout", f"the name {host} was not resolved in time") from None
        except OSError as trouble:
            raise ReceiverUnreachable("dns", f"the name {host} does not resolve") from trouble
        if not answers:
            raise ReceiverUnreachable("dns", f"the name {host} has no address")
        for answer in answers:
            self._policy.refuse_address(_plain(answer["host"]), host=host, port=port)
        return answers

    async def close(self) -> None:
        await self._inner.close()


def guarded_socket_factory(policy: EgressPolicy) -> "_SocketFactory":
    """Makes the sockets of the connector: none for an address that the running call may not dial."""
    return _SocketFactory(policy)


class _SocketFactory:
    __slots__ = ("_policy",)

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy

    def __call__(self, addr_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = addr_info
        target = dialling.get()
        if target is None:
            raise DialRefused("a connection was asked for outside of a checked call")
        if address[1] != target.port:
            raise DialRefused(f"{target.host} is called on port {target.port}, not {address[1]}")
        try:
            self._policy.refuse_address(_plain(address[0]), host=target.host, port=target.port)
        except EgressRefused as refusal:
            raise DialRefused(str(refusal)) from refusal
        return socket.socket(family, kind, protocol)


def _plain(text: str) -> Address | str:
    """The address that `text` is, or `text` itself, which the policy refuses."""
    try:
        return ip_address(text)
    except ValueError:
        return text


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(hostname=host, host=_with_scope(address), port=port, family=kind, proto=protocol, flags=_NUMERIC)
        for kind, _, protocol, _, address in found
    ]


def _with_scope(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    # A scoped answer (fe80::1 on one interface) keeps its mark, so that the policy sees it.
    text = str(address[0])
    return f"{text}%{address[3]}" if len(address) == 4 and address[3] and "%" not in text else text
