"""/api/v1/backtests: a workflow tried on the past, followed while it goes, cancelled."""

from collections import Counter
from collections.abc import Mapping

import orjson
from aiohttp import web

from services.backtests.api import models
from services.backtests.api.dependencies import BacktestsDependencies
from services.backtests.service.asking import Past
from services.backtests.service.jobs import Backtest
from services.backtests.service.subjects import Asked
from shared.domain.clock import Clock
from shared.domain.json_text import dump_json
from shared.runtime.http import READ, WRITE, Call, HttpProblem, Returns, Route, reply

PATH = "/api/v1/backtests"
KEEPALIVE_SECONDS = 15.0
"""A comment goes out after so long without news, so that nothing in between takes the stream for dead."""

_NOT_THERE = "There is no such backtest, or no longer: they are kept in memory only."


def routes(it: BacktestsDependencies) -> list[Route]:
    streams: Counter[str] = Counter()  # open ones, by tenant

    async def start(call: Call) -> web.StreamResponse:
        given = await call.input(models.BacktestInput, exact_below="workflow")
        job = await it.asking.job(
            call.tenant_id,
            Asked(document=given.workflow, workflow_id=given.workflow_id, revision=given.revision),
            Past(since=given.since, until=given.until, samples=given.samples),
            call.caller.subject,
        )
        backtest = it.backtests.start(call.tenant_id, job)
        location = f"{PATH}/{backtest.id}"
        answer = models.BacktestStarted(id=backtest.id, status="running", stream=f"{location}/stream")
        return reply(202, answer, {"Location": location})

    async def get(call: Call) -> web.StreamResponse:
        return reply(200, _shown(it.backtests.get(call.tenant_id, call.path("id")), it.clock), _FRESH)

    async def cancel(call: Call) -> web.StreamResponse:
        return reply(200, _shown(await it.backtests.cancel(call.tenant_id, call.path("id")), it.clock))

    async def stream(call: Call) -> web.StreamResponse:
        tenant_id, settings = call.tenant_id, it.settings
        backtest = it.backtests.get(tenant_id, call.path("id"))
        if streams[tenant_id] >= settings.streams_per_tenant_max:
            name = "UPSHOT_BACKTESTS_STREAMS_PER_TENANT_MAX"
            raise _too_many(f"{streams[tenant_id]} streams of yours are open, which are as many as may ({name})")
        if streams.total() >= settings.streams_max:
            name = "UPSHOT_BACKTESTS_STREAMS_MAX"
            raise _too_many(f"{streams.total()} streams are open, which are as many as may ({name})")
        streams[tenant_id] += 1
        try:
            return await _stream(call, backtest)
        finally:
            streams[tenant_id] -= 1
            if not streams[tenant_id]:
                del streams[tenant_id]

    async def _stream(call: Call, backtest: Backtest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_FRESH})
        await response.prepare(call.request)
        async for changed in it.backtests.changes(backtest, timeout_seconds=KEEPALIVE_SECONDS):
            await response.write(_event(backtest, it.clock) if changed else b": still running\n\n")
        await response.write_eof()
        return response

    return [
        Route(
            method="POST",
            path=PATH,
            handler=start,
            summary="Try a workflow on the past, without any effect",
            description="A draft or a saved revision is run over the events of the range as the stream would have run it. "
            "The range is fixed when it starts: what is appended meanwhile is not looked at.",
            tag="backtests",
            roles=(WRITE,),
            request=models.BacktestInput,
            responses={
                202: Returns(
                    description="It runs.",
                    model=models.BacktestStarted,
                    headers={"Location": "where its report will be"},
                )
            },
            errors={404: "There is no such workflow or revision.", 429: "As many run as may."},
        ),
        Route(
            method="GET",
            path=PATH + "/{id}",
            handler=get,
            summary="How far a backtest is, and what it found",
            tag="backtests",
            roles=(READ,),
            responses={200: Returns(description="The report so far.", model=models.BacktestAnswer)},
            errors={404: _NOT_THERE},
        ),
        Route(
            method="GET",
            path=PATH + "/{id}/stream",
            handler=stream,
            summary="Follow a backtest",
            description="Server-sent events: `progress` with what GET answers but the report, then one `report` with all "
            "of it, whatever the backtest came to; then the stream ends.",
            tag="backtests",
            roles=(READ,),
            responses={200: Returns(description="The stream.", content_type="text/event-stream")},
            errors={404: _NOT_THERE, 429: "As many streams are open as may be."},
        ),
        Route(
            method="POST",
            path=PATH + "/{id}/cancel",
            handler=cancel,
            summary="End a backtest now",
            description="What it found so far stays. One that has ended stays as it is.",
            tag="backtests",
            roles=(WRITE,),
            responses={200: Returns(description="It has ended.", model=models.BacktestAnswer)},
            errors={404: _NOT_THERE},
        ),
    ]


def _too_many(detail: str) -> HttpProblem:
    return HttpProblem(429, "too-many-streams", f"{detail}; ask {PATH}/…", headers={"Retry-After": "5"})


_FRESH: Mapping[str, str] = {"Cache-Control": "no-store"}


def _event(backtest: Backtest, clock: Clock) -> bytes:
    shown = _shown(backtest, clock).model_dump(mode="json")
    if backtest.ended:
        return b"event: report\ndata: " + dump_json(shown) + b"\n\n"
    del shown["report"]
    return b"event: progress\ndata: " + orjson.dumps(shown) + b"\n\n"


def _shown(backtest: Backtest, clock: Clock) -> models.BacktestAnswer:
    return models.BacktestAnswer(
        id=backtest.id,
        status=backtest.status,
        asked_at=backtest.asked_at,
        ended_at=backtest.ended_at,
        range=backtest.range,
        progress=_progress(backtest, clock),
        report=backtest.report,
        problem=backtest.problem,
        cpu_seconds=backtest.cpu_seconds,
    )


def _progress(backtest: Backtest, clock: Clock) -> models.Progress:
    looked_at = backtest.range
    if looked_at is None:
        return models.Progress(events_read=0, of=None, percent=0.0, events_per_second=0.0, seconds_left=None)
    read, of = backtest.offset - looked_at.first_offset, looked_at.to_offset - looked_at.first_offset
    until = backtest.told_at_monotonic if backtest.ended else clock.monotonic()
    seconds = until - backtest.began_at_monotonic
    rate = read / seconds if seconds > 0 else 0.0
    return models.Progress(
        events_read=read,
        of=of,
        percent=round(100 * read / of, 1) if of else 100.0,
        events_per_second=round(rate, 1),
        seconds_left=None if backtest.ended or not rate else round((of - read) / rate, 1),
    )
