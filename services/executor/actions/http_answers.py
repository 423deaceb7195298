"""What an outgoing call came to, as an attempt's outcome: shared by every action that calls out over HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from services.executor.actions import Attempt, Tools
from services.executor.core.outcome import Outcome
from shared.domain.errors import InvalidInput
from shared.domain.json_text import read_json_with_whole_numbers
from shared.domain.records import Problem
from shared.runtime.egress import Answer, EgressRefused, OutgoingRequest, ReceiverTimeout, ReceiverUnreachable

_NEVER_ARRIVED = frozenset({"dns", "refused", "unreachable", "tls"})
_THROTTLES = frozenset({429, 502, 503, 504})
_OF_GATEWAYS = frozenset({502, 504})
"""What a proxy says that does not know what became of the call behind it."""
RETRY_AFTER_SECONDS_MAX = 86_400.0
_SECONDS_DIGITS_MAX = 9
_DATE_CHARACTERS_MAX = 64
_CLOCKS_APART_SECONDS_MAX = 86_400.0
"""A receiver's clock that differs from ours by more is no clock."""


async def call(
    attempt: Attempt, tools: Tools, *, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> Outcome:
    """Make the call once and judge its answer."""
    request = OutgoingRequest(
        method=method,
        url=url,
        headers=headers,
        body=body,
        timeout_seconds=attempt.timeout_seconds,
        response_bytes_max=tools.response_bytes_max,
        tenant_id=attempt.scene.tenant.id,
    )
    try:
        answer = await tools.outgoing.send(request)
    except EgressRefused as refused:
        return Outcome(status="failed", problem=Problem(kind=f"egress_{refused.kind}", detail=str(refused)))
    except ReceiverTimeout as late:
        arrived = late.kind == "timeout"
        problem = Problem(kind=late.kind, detail=str(late))
        return Outcome(status="failed", problem=problem, retry=True, in_doubt=arrived, throttled=True)
    except ReceiverUnreachable as away:
        problem = Problem(kind=away.kind, detail=str(away))
        return Outcome(status="failed", problem=problem, retry=True, in_doubt=away.kind not in _NEVER_ARRIVED)
    return judge(answer, tools.clock.now())


def judge(answer: Answer, now: datetime) -> Outcome:
    """2xx is success; 3xx is a failure (never followed); 408, 425, 429 and 5xx may pass; any other 4xx is tried again too,
    since receivers answer 4xx while they are being deployed, but 410 says that the endpoint is gone for good."""
    output = {"status": answer.status, "body": _readable(answer), "truncated": answer.truncated}
    if 200 <= answer.status < 300:
        return Outcome(status="succeeded", output=output)
    if answer.status == 410:
        problem = Problem(kind="gone", detail="the receiver answered 410: it wants no more deliveries")
        return Outcome(status="failed", output=output, problem=problem)
    what = "a redirect, which is never followed" if 300 <= answer.status < 400 else "not a success"
    return Outcome(
        status="failed",
        output=output,
        problem=Problem(kind=f"http_{answer.status}", detail=f"the receiver answered {answer.status}: {what}"),
        retry=True,
        in_doubt=answer.status in _OF_GATEWAYS,
        answered=True,
        throttled=answer.status in _THROTTLES,
        retry_after_seconds=retry_after(answer.headers, now),
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from `now` until a receiver wants to be called again; None where it does not say, or says it unreadably.

    Both forms of RFC 9110 §10.2.3. A date is the receiver's, so it is measured by the receiver's own clock, the answer's `Date`,
    unless that is out by so much that it is none.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_SECONDS_MAX) if len(text) <= _SECONDS_DIGITS_MAX else None
    wanted = _instant(text)
    if wanted is None:
        return None
    theirs = _instant(headers.get("date", ""))
    is_clock = theirs is not None and abs((theirs - now).total_seconds()) <= _CLOCKS_APART_SECONDS_MAX
    seconds = (wanted - (theirs if theirs is not None and is_clock else now)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)


def _instant(text: str) -> datetime | None:
    """An HTTP date (RFC 9110 §5.6.7), the obsolete forms too; all of them are in UTC, whether or not they say so."""
    if not text.isascii() or not 0 < len(text) <= _DATE_CHARACTERS_MAX:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # what the standard library says of one kind of nonsense or another
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _readable(answer: Answer) -> object:
    if not answer.body:
        return None
    if "json" in answer.headers.get("content-type", "") and not answer.truncated:
        try:
            return read_json_with_whole_numbers(answer.body)
        except InvalidInput:
            pass  # no JSON, or nested or spelt so that it has no one meaning: it is shown as the text that it is
    return answer.body.decode("utf-8", errors="replace").replace("\x00", "\ufffd")
