"""The backtest itself, in a process of its own: reads the range once, judges each event, tells how far it is.

Guarantee: it is handed a log that can only be read, and has no effect but the messages that it tells. It takes at most the
share of a core that the job names: after each batch it pauses for as long as that needs.
Next: `services/backtests/core/judging.py`.
"""

import asyncio
from collections.abc import Callable, Sequence

from services.backtests.core.candidate import Candidate, candidate_of
from services.backtests.core.judging import Judge
from services.backtests.core.rehearsal import Previewer
from services.backtests.core.report import BacktestFold, Range, Tried
from services.backtests.service.protocol import Began, Ended, Failed, Job, Message, Progressed
from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Record
from shared.bus.ranges import LogRange, first_at_or_after
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.definitions import Tenant
from shared.domain.errors import InvalidInput, PermanentError, TransientError
from shared.workflows.catalogue import Catalogue

TRIES_MAX = 20
"""Readings in a row that may fail for trouble that passes; the link itself waits up to 2 s between them."""
RETRY_SECONDS = 1.0

_UPCAST_TYPES = frozenset(event_type.encode() for event_type in RECORD_VERSIONS.types(EVENTS))

CpuSeconds = Callable[[], float]


async def run_backtest(
    job: Job,
    log: LogRange,
    catalogue: Catalogue,
    previewer: Previewer,
    clock: Clock,
    cpu_seconds: CpuSeconds,
    tell: Callable[[Message], None],
) -> None:
    """Until the range is read. Expected trouble is told as `Failed`."""
    try:
        await _Backtest(job, log, catalogue, previewer, clock, cpu_seconds, tell).run()
    except (InvalidInput, PermanentError, TransientError) as trouble:
        tell(Failed(detail=str(trouble)))


class _Backtest:
    def __init__(
        self,
        job: Job,
        log: LogRange,
        catalogue: Catalogue,
        previewer: Previewer,
        clock: Clock,
        cpu_seconds: CpuSeconds,
        tell: Callable[[Message], None],
    ) -> None:
        self._job = job
        self._log = log
        self._catalogue = catalogue
        self._previewer = previewer
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._tell = tell

    async def run(self) -> None:
        job = self._job
        began_cpu = self._cpu_seconds()
        candidate = self._candidate()
        live = candidate_of(candidate.tenant, job.live, job.live.newest, self._catalogue) if job.live else None
        looked_at = await self._range()
        self._tell(Began(range=looked_at))
        fold = BacktestFold(
            candidate,
            live,
            _tried(job),
            looked_at,
            self._previewer,
            samples_max=job.samples_max,
            samples_bytes_max=job.samples_bytes_max,
        )
        scan = Scan(job.tenant_id, Judge(candidate, live), fold)
        await self._scan(scan, fold, looked_at)
        self._tell(Ended(report=fold.report(), cpu_seconds=self._cpu_seconds() - began_cpu))

    def _candidate(self) -> Candidate:
        job = self._job
        tenant = Tenant(
            id=job.tenant_id,
            name=job.tenant_id,
            plan=job.plan,
            quotas=job.quotas,
            created_at=job.since,
            version=job.definitions_version,
        )
        for endpoint in job.endpoints:
            tenant.put_endpoint(endpoint)
        return candidate_of(tenant, job.candidate, job.candidate.newest, self._catalogue)

    async def _range(self) -> Range:
        """Fixed here: what is appended from now on lies behind it."""
        job = self._job
        marks = await self._log.watermarks()
        first = await first_at_or_after(self._log, job.since, marks.low, marks.high)
        end = await first_at_or_after(self._log, job.until, first, marks.high)
        return Range(since=job.since, until=job.until, partition=job.partition, from_offset=first, to_offset=end)

    async def _scan(self, scan: "Scan", fold: BacktestFold, looked_at: Range) -> None:
        """The next batch is on its way while this one is judged: the server works meanwhile."""
        end = looked_at.to_offset
        told_at = self._clock.monotonic()
        reading = self._read(looked_at.from_offset, end) if looked_at.from_offset < end else None
        try:
            while reading is not None:
                began, began_cpu = self._clock.monotonic(), self._cpu_seconds()
                records, position = await reading
                reading = self._read(position, end) if position < end else None
                await asyncio.sleep(0)  # sends that request
                scan.take(records)
                used, now = self._cpu_seconds() - began_cpu, self._clock.monotonic()
                pause = max(0.0, used / self._job.cpu_share_max - (now - began))
                if reading is not None and now + pause - told_at >= self._job.progress_interval_seconds:
                    told_at = now
                    self._tell(Progressed(offset=position, report=fold.report()))
                if reading is not None and pause:
                    await asyncio.sleep(pause)
        finally:
            if reading is not None:
                reading.cancel()

    def _read(self, low: int, high: int) -> "asyncio.Task[tuple[Sequence[Record], int]]":
        return asyncio.create_task(self._read_patiently(low, high))

    async def _read_patiently(self, low: int, high: int) -> tuple[Sequence[Record], int]:
        """A server that is restarted meanwhile costs time, not the backtest."""
        tries = 0
        while True:
            try:
                batch = await self._log.read(
                    low, high, records_max=self._job.batch_records, tenant_id=self._job.tenant_id
                )
            except TransientError as trouble:
                tries += 1
                if tries == TRIES_MAX:
                    raise
                await asyncio.sleep(trouble.retry_after_seconds or RETRY_SECONDS)
                continue
            return batch.records, batch.next_offset


class Scan:
    """The hot loop: records to what the fold takes. An event that the attributes rule out is never decoded."""

    def __init__(self, tenant_id: str, judge: Judge, fold: BacktestFold) -> None:
        self._tenant_id = tenant_id.encode()
        self._judge = judge
        self._fold = fold
        self._headers = tuple(f"ce_{name}" for name in judge.attributes)

    def take(self, records: Sequence[Record]) -> None:
        """In offset order."""
        events = unreadable = 0
        own, judge, wanted = self._tenant_id, self._judge, self._headers
        for record in records:
            headers = dict(record.headers)
            if record.foreign or not _is_plain(headers):
                outcome = self._take_rare(record)
                events += outcome is not None
                unreadable += outcome is False
                continue
            if headers.get("ce_tenantid") != own:
                continue
            events += 1
            values = tuple([headers.get(name) for name in wanted])
            try:
                worth_it = judge.may_match(values) and judge.may_match_with(values, record.value)
            except (UnicodeDecodeError, InvalidInput):
                unreadable += 1
                continue
            if worth_it:
                unreadable += not self._take(record)
        self._fold.events += events
        self._fold.unreadable += unreadable

    def _take_rare(self, record: Record) -> bool | None:
        """Foreign, in structured mode, or of an old version: whose it is shows only once it is decoded. None: another's."""
        try:
            if codec.decode(record).tenant_id.encode() != self._tenant_id:
                return None
        except UndecodableRecord:
            return None
        return self._take(record)

    def _take(self, record: Record) -> bool:
        """Whether the event could be read; what the stream makes a dead letter of cannot."""
        try:
            recorded_at = codec.recorded_at(record)
            judged = self._judge.judge(codec.decode(record), recorded_at)
            if judged is not None:
                self._fold.take(judged, recorded_at)
        except (UndecodableRecord, InvalidInput):
            return False
        return True


def _is_plain(headers: dict[str, bytes]) -> bool:
    """Whether the attributes that the headers hold are those that the decoded event will have."""
    if "ce_recordversion" in headers or headers.get("ce_type") in _UPCAST_TYPES:
        return False
    content_type = headers.get(codec.CONTENT_TYPE)
    return content_type is None or content_type[:23].lower() != b"application/cloudevents"


def _tried(job: Job) -> Tried:
    revision = job.candidate.newest.number
    return Tried(
        id=job.saved_id,
        name=job.candidate.name,
        revision=revision,
        is_draft=job.is_draft,
        live_revision=job.live.newest.number if job.live is not None else None,
        live_enabled=job.live.enabled if job.live is not None else False,
    )
