"""`upshot backtest`: a workflow tried on the past over the HTTP interface, with how far it is, and a report that can be read.

Ctrl-C ends the backtest too. Next: `services/backtests/`.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from services.cli.as_code.api import Json, TenantApi
from services.cli.as_code.files import WorkflowFile, read_file
from shared.domain.errors import Flaw, InvalidInput

PATH = "/api/v1/backtests"
ASK_AGAIN_SECONDS = 0.5
BAR_CHARACTERS = 40
_DRAFT = "#/workflow"
EVENTS_TOLD = 5
TEXT_CHARACTERS_MAX = 200
_SIMULATED = {"estimated": "an estimate", "no": "not looked at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """`what`: a file, else a saved workflow's id or name. `until` None: now."""

    what: str
    revision: int | None
    since: datetime
    until: datetime | None
    samples: int | None
    in_json: bool


async def backtest(api: TenantApi, options: BacktestOptions) -> int:
    """0 where it ran to its end. Raises ApiTrouble, InvalidInput."""
    file = _file(options)
    started = await api.command("POST", PATH, _asked(options, file), expected={202, 404, 422, 429})
    if started.status != 202:
        for flaw in started.flaws:
            sys.stderr.write(f"{flaw_line(options.what, file, flaw)}\n")
        return 1
    location = f"{PATH}/{started.body['id']}"
    try:
        shown = await _followed(api, location)
    except asyncio.CancelledError:
        await api.command("POST", f"{location}/cancel", expected={200, 404})
        raise
    if options.in_json:
        print(json.dumps(shown, ensure_ascii=False))
    elif shown["report"] is not None:
        print("\n".join(told(shown["report"])))
    if shown["status"] != "succeeded":
        sys.stderr.write(f"upshot: the backtest is {shown['status']}: {shown['problem'] or 'somebody ended it'}\n")
        return 1
    return 0


def flaw_line(what: str, file: WorkflowFile | None, flaw: Flaw) -> str:
    """As `upshot apply` says it where it is the file's: with its line, and the place in the document."""
    if file is not None and (flaw.pointer == _DRAFT or flaw.pointer.startswith(f"{_DRAFT}/")):
        return file.told(replace(flaw, pointer="#" + flaw.pointer.removeprefix(_DRAFT)))
    return f"{what}: {flaw.pointer}: {flaw.detail}"


def _file(options: BacktestOptions) -> WorkflowFile | None:
    """The draft; None: a saved workflow is meant."""
    path = Path(options.what)
    if not path.is_file():
        if path.suffix in (".yaml", ".yml", ".json"):
            raise InvalidInput("no such file", [Flaw(pointer=options.what, detail="there is no such file")])
        return None
    if options.revision is not None:
        detail = "a file is a draft; leave --revision out, or name a saved workflow"
        raise InvalidInput("a draft has no revision", [Flaw(pointer="--revision", detail=detail)])
    return read_file(path)


def _asked(options: BacktestOptions, file: WorkflowFile | None) -> dict[str, object]:
    asked: dict[str, object] = {"since": options.since.isoformat()}
    if options.until is not None:
        asked["until"] = options.until.isoformat()
    if options.samples is not None:
        asked["samples"] = options.samples
    if file is None:
        return {**asked, "workflow_id": options.what, "revision": options.revision}
    return {**asked, "workflow": file.document}


async def _followed(api: TenantApi, location: str) -> Json:
    """What it came to; meanwhile a line on stderr says how far it is, over and over on a terminal."""
    told_percent = None
    while True:
        shown = await api.get(location)
        percent = shown["progress"]["percent"]
        if percent != told_percent and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{progress_line(shown['progress'])}")
            sys.stderr.flush()
            told_percent = percent
        if shown["status"] != "running":
            if told_percent is not None:
                sys.stderr.write("\r\x1b[K")
            return shown
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def progress_line(progress: Mapping[str, Json]) -> str:
    """`42.0 %: 420,000 of 1,000,000 events, 31,000/s, about 19 s to go`."""
    if progress["of"] is None:
        return "looking for where the range begins"
    line = f"{progress['percent']} %: {progress['events_read']:,} of {progress['of']:,} events"
    line += f", {progress['events_per_second']:,.0f}/s"
    left = progress["seconds_left"]
    return line if left is None else f"{line}, about {left:.0f} s to go"


def told(report: Mapping[str, Json]) -> list[str]:
    """The report in lines."""
    return [
        *_heading(report),
        "",
        *_days(report),
        *_errors(report),
        *_limits(report),
        *_difference(report),
        *_samples(report),
        *_notes(report),
    ]


def _heading(report: Mapping[str, Json]) -> Iterator[str]:
    tried, looked_at = report["workflow"], report["range"]
    what = "a draft" if tried["is_draft"] else f"revision {tried['revision']}"
    yield f"{tried['name']} ({what}), {looked_at['since']} to {looked_at['until']}"
    planned = f" and {report['firings']:,} planned instants" if report["firings"] else ""
    yield (
        f"{report['matches']:,} matches in {report['events']:,} events{planned}"
        f" (offsets {looked_at['from_offset']:,} to {looked_at['to_offset']:,} of partition {looked_at['partition']})"
    )
    for name, why in (
        ("unreadable", "could not be read"),
        ("repeated", "were repetitions"),
        ("waits_open", "are still waited after: it is not certain yet that nothing follows"),
        ("left_out", "were left out: a tenant may have no more windows open"),
    ):
        if report[name]:
            yield f"{report[name]:,} {why}"


def _days(report: Mapping[str, Json]) -> Iterator[str]:
    days = report["matches_per_day"]
    most = max((day["matches"] for day in days), default=0)
    for day in days:
        bar = "#" * (-(-day["matches"] * BAR_CHARACTERS // most) if most else 0)
        yield f"  {day['day']}  {day['matches']:>9,}  {bar}".rstrip()
    yield f"  days in {report['timezone']}"


def _errors(report: Mapping[str, Json]) -> Iterator[str]:
    errors = report["condition_errors"]
    if not errors["count"]:
        return
    yield ""
    yield f"{errors['count']:,} times the condition could not be evaluated, which counts as false"
    for each in errors["events"][:EVENTS_TOLD]:
        yield f"  {each['event']['type']}  {each['event']['id']}: {_cut(each['error'])}"


def _limits(report: Mapping[str, Json]) -> Iterator[str]:
    held = sum(report["held"].values())
    yield ""
    yield f"{report['admitted']:,} would have run, {held:,} would have been held by limits"
    for kind, count in report["held"].items():
        yield f"  {kind:<20} {count:>9,}"
    for look in report["limits"]:
        if look["simulated"] != "yes":
            yield f"  {look['limit']}: {_SIMULATED[look['simulated']]}: {look['why']}"
    if report["queued"]:
        yield f"{report['queued']:,} would have waited for room"
    if report["approvals"]:
        yield f"{report['approvals']:,} would have waited for an approval"


def _difference(report: Mapping[str, Json]) -> Iterator[str]:
    difference = report["difference"]
    yield ""
    if difference is None:
        yield f"compared with nothing: {report['workflow']['not_compared']}"
        return
    yield f"beside revision {report['workflow']['live_revision']}: {difference['both']:,} match both"
    for name, sign, words in (
        ("newly_matching", "+", "newly matching"),
        ("no_longer_matching", "-", "no longer matching"),
    ):
        side = difference[name]
        yield f"  {sign} {side['count']:,} {words}"
        for event in side["events"][:EVENTS_TOLD]:
            yield f"      {event['recorded_at']}  {event['type']}  {event['id']}"
    if difference["undecided"]:
        yield f"  ? {difference['undecided']:,} that one of the two still waits after at the end"


def _samples(report: Mapping[str, Json]) -> Iterator[str]:
    for sample in report["samples"]:
        event = sample["event"]
        yield ""
        later = f", told at {sample['at']}" if sample["at"] != event["recorded_at"] else ""
        yield f"{event['type']} {event['id']} at {event['recorded_at']}{later}"
        if sample["held"] is not None:
            yield f"  held: {sample['held']['detail']}"
        elif sample["needs_approval"]:
            yield "  would have waited for an approval"
        for step in sample["steps"]:
            yield f"  {step['id']} ({step['uses']}): {_sending(step)}"
    if report["samples_left_out"]:
        yield f"{report['samples_left_out']:,} more samples were too large to show"


def _sending(step: Mapping[str, Json]) -> str:
    if step["problem"] is not None:
        return f"could not be sent: {step['problem']['detail']}"
    if step["runs"] == "no":
        return f"would not run: {step['why']}"
    sends = step["sends"]
    if sends is None:
        return f"needs the output of {', '.join(step['needs_output_of'])}"
    if "method" in sends and "url" in sends:
        return _cut(f"{sends['method']} {sends['url']} {sends.get('body', '')}".rstrip())
    return _cut(json.dumps(sends, ensure_ascii=False))


def _notes(report: Mapping[str, Json]) -> Iterator[str]:
    yield ""
    yield from (f"note: {each}" for each in report["notes"])


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"
