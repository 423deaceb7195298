"""What an outgoing call came to, as an attempt's outcome: shared by every action that calls out over HTTP."""

from collections.abc import Mapping

from services.executor.actions import Attempt, Tools
from services.executor.core.outcome import Outcome
from shared.domain.errors import InvalidInput
from shared.domain.json_text import read_json
from shared.domain.records import Problem
from shared.runtime.egress import Answer, EgressRefused, OutgoingRequest, ReceiverTimeout, ReceiverUnreachable

_NEVER_ARRIVED = frozenset({"dns", "refused", "unreachable", "tls"})
_THROTTLES = frozenset({429, 502, 503, 504})
_OF_GATEWAYS = frozenset({502, 504})
"""What a proxy says that does not know what became of the call behind it."""
_RETRY_AFTER_SECONDS_MAX = 86_400.0


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
    return judge(answer)


def judge(answer: Answer) -> Outcome:
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
        retry_after_seconds=_retry_after(answer.headers.get("retry-after")),
    )


def _retry_after(text: str | None) -> float | None:
    """Seconds only: the header's date form would need the receiver's clock to agree with ours."""
    seconds = text.strip() if text is not None else ""
    if not (seconds.isascii() and seconds.isdigit()) or len(seconds) > 9:
        return None
    return min(float(seconds), _RETRY_AFTER_SECONDS_MAX)


def _readable(answer: Answer) -> object:
    if not answer.body:
        return None
    if "json" in answer.headers.get("content-type", "") and not answer.truncated:
        try:
            return read_json(answer.body)
        except InvalidInput:
            pass  # no JSON, or nested or spelt so that it has no one meaning: it is shown as the text that it is
    return answer.body.decode("utf-8", errors="replace").replace("\x00", "\ufffd")
