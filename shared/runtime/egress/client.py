"""The one outgoing HTTP client of a process: keep-alive, guarded, bounded in time and bytes.

Guarantees: nothing is dialled that the policy refuses, whatever a name resolves to; no proxy and no netrc of the
environment is used; redirects are answers, never followed; certificates are verified; bodies go out as the bytes given
and come back undecoded, at most as many as asked for.
Next: `exchange.py` for one call, `trouble.py` lists what it can raise, `wire.py` tells them apart.
"""

import asyncio
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from shared.domain.clock import Clock
from shared.domain.errors import InvalidInput
from shared.runtime.deadline import Deadline
from shared.runtime.egress.dial import GuardedResolver, SystemResolver, calling, dialling, guarded_socket_factory
from shared.runtime.egress.exchange import Destination, Exchange
from shared.runtime.egress.kept import KeepingConnector
from shared.runtime.egress.policy import EgressPolicy
from shared.runtime.egress.settings import EgressSettings
from shared.runtime.egress.trouble import EgressRefused
from shared.runtime.egress.url import Target, parse_url
from shared.runtime.egress.wire import translated

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
# Ours to set: they decide where a request goes and where its body ends.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
    | {"proxy-authorization", "proxy-connection"}
)
_NOT_HANDED_BACK = frozenset({"set-cookie", "set-cookie2"})  # credentials of the receiver, of no use to a step
_PREPARED_TARGETS_MAX = 4096


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class OutgoingRequest:
    """One call. `timeout_seconds` spans all of it: name, connection, sending, waiting, reading.

    `response_bytes_max` None means the setting's. `tenant_id`: whose it is; what hangs of one leaves room for others. `url`
    and `headers` may hold secrets and stay out of the repr.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout_seconds: float
    response_bytes_max: int | None = None
    tenant_id: str = ""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Answer:
    """What the receiver said. Header names are in lower case, repeated ones joined by ", "; cookies are left out.

    `body` is as it came (no decompression); `truncated` says that there was more than was asked for.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    elapsed_seconds: float


class OutgoingClient:
    """Open with `await OutgoingClient.open(…)` inside the running loop, close with `await client.close()`."""

    def __init__(
        self, connector: KeepingConnector, resolver: AbstractResolver, settings: EgressSettings, clock: Clock
    ) -> None:
        self._connector = connector
        self._resolver = resolver
        self._settings = settings
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._policy = settings.policy()
        self._prepare = lru_cache(_PREPARED_TARGETS_MAX)(self._check)
        self._timeouts = lru_cache(256)(self._timeout)

    @classmethod
    async def open(
        cls, settings: EgressSettings, *, clock: Clock, resolver: AbstractResolver | None = None
    ) -> "OutgoingClient":
        """A client with its own connections. `resolver` (default: the system's) is guarded, and closed with it."""
        policy = settings.policy()
        inner = resolver if resolver is not None else SystemResolver(settings.dns_threads)
        guarded = GuardedResolver(inner, policy, timeout_seconds=settings.dns_timeout_seconds)
        tls = await asyncio.to_thread(_tls_context, settings.ca_file)
        return cls(_open_connector(settings, policy, guarded, tls), guarded, settings, clock)

    async def close(self) -> None:
        """Closes every connection; calls still running fail as unreachable."""
        await self._connector.close()
        await self._resolver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, request: OutgoingRequest) -> Answer:
        """Make the call once; any status is an answer.

        Raises EgressRefused (nothing was sent), ReceiverTimeout or ReceiverUnreachable; see `trouble.py`.
        """
        self._check_form(request)
        target, destination = self._prepare(request.url)
        bytes_max = self._settings.response_bytes_max
        if request.response_bytes_max is not None:
            bytes_max = request.response_bytes_max
        limits = self._timeouts(request.timeout_seconds)
        headers = request.headers
        if "user-agent" not in map(str.lower, headers):
            headers = {**headers, "User-Agent": self._settings.user_agent}
        started = self._clock.monotonic()
        token, whose = dialling.set(target), calling.set(request.tenant_id)
        status: int | None = None
        try:
            with Deadline(self._loop, request.timeout_seconds):
                exchange = await Exchange.open(self._connector, destination, limits)
                try:
                    head = await exchange.begin(request.method, headers, request.body)
                    status = head.code
                    body, truncated = await exchange.body(bytes_max)
                except BaseException:
                    exchange.abandon()
                    raise
                exchange.end(whole=not truncated)
        except (aiohttp.ClientError, OSError) as trouble:
            raise translated(trouble, target, request.timeout_seconds, status) from trouble
        finally:
            dialling.reset(token)
            calling.reset(whose)
        return Answer(
            status=status,
            headers=_collect(head.headers),
            body=body,
            truncated=truncated,
            elapsed_seconds=self._clock.monotonic() - started,
        )

    def _check(self, text: str) -> tuple[Target, Destination]:
        try:
            target = parse_url(text)
        except InvalidInput as trouble:
            raise EgressRefused("url", "; ".join(flaw.detail for flaw in trouble.flaws)) from None
        self._policy.refuse_target(target)
        path, question, query = target.path_qs.partition("?")
        url = URL.build(
            scheme=target.scheme,
            host=f"[{target.host}]" if ":" in target.host else target.host,
            port=target.port,
            path=path,
            query_string=query,
            encoded=True,
        )
        if (url.raw_host, url.port, url.raw_path_qs) != (
            target.host,
            target.port,
            path + (question and query and f"?{query}"),
        ):
            raise EgressRefused("url", "this URL is read differently by two parsers")
        return target, Destination.of(url)

    def _check_form(self, request: OutgoingRequest) -> None:
        if request.method not in _METHODS:
            raise EgressRefused("method", f"only {', '.join(sorted(_METHODS))} can be sent")
        if len(request.body) > self._settings.request_bytes_max:
            raise EgressRefused("body", f"a body may have at most {self._settings.request_bytes_max} bytes")
        for name in request.headers:
            _check_header_name(name)
        if _HEADER_VALUE_FORBIDDEN.search("".join(request.headers.values())):
            raise EgressRefused("header", "a header's value holds characters that no header may have")

    def _timeout(self, total_seconds: float) -> aiohttp.ClientTimeout:
        if not 0 < total_seconds < math.inf:  # aiohttp reads 0 as no limit at all
            raise ValueError(f"a call needs a time limit; timeout_seconds is {total_seconds}")
        return aiohttp.ClientTimeout(total=total_seconds, sock_connect=self._settings.connect_timeout_seconds)


@lru_cache(1024)
def _check_header_name(name: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise EgressRefused("header", f"the header {name!r} holds characters that no header may have")
    if name.lower() in _OWN_HEADERS:
        raise EgressRefused("header", f"the header {name!r} is set by Upshot itself")


def _open_connector(
    settings: EgressSettings, policy: EgressPolicy, resolver: AbstractResolver, tls: ssl.SSLContext
) -> KeepingConnector:
    # Given a connector of ours and no session, aiohttp knows no proxy, no netrc, no cookie and no redirect.
    return KeepingConnector(
        resolver=resolver,
        use_dns_cache=False,  # each look-up is judged by the answer that is dialled
        socket_factory=guarded_socket_factory(policy),
        ssl=tls,
        limit=settings.connections_max,
        limit_per_host=settings.connections_per_host_max,
        keepalive_timeout=settings.keepalive_seconds,
    )


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _collect(headers: Mapping[str, str]) -> dict[str, str]:
    collected: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        if not value.isascii():
            # Bytes that are no UTF-8 come as lone surrogates, which no JSON encoder takes.
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # noqa: PLW2901
        if key not in _NOT_HANDED_BACK:
            collected[key] = f"{collected[key]}, {value}" if key in collected else value
    return collected
