"""The backtest itself, in a process of its own: reads the range once, judges each event, tells how far it is.

Guarantee: it is handed a log that can only be read, and has no effect but the messages that it tells. It takes at most the
share of a core that the job names: after each batch it pauses for as long as that needs.
Next: `services/backtests/core/judging.py`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from services.backtests.core.candidate import Candidate, candidate_of
from services.backtests.core.course import memory_seconds
from services.backtests.core.found import Range, Report, Tried, Warmed
from services.backtests.core.judging import Judge, Judgement
from services.backtests.core.rehearsal import Previewer
from services.backtests.core.report import BacktestFold
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
from shared.workflows.hiding import Hiding

TRIES_MAX = 20
"""Readings in a row that may fail for trouble that passes; the link itself waits up to 2 s between them."""
RETRY_SECONDS = 1.0
INSTANTS_AT_ONCE = 500
"""Planned instants and waits in a row before it looks whether to stand back: about 30 ms."""

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
        self._told_at = self._began = clock.monotonic()
        self._began_cpu = cpu_seconds()

    async def run(self) -> None:
        job = self._job
        began_cpu = self._cpu_seconds()
        candidate = self._candidate()
        live, not_compared = self._live(candidate.tenant)
        remembers = max(memory_seconds(each) for each in (candidate, live) if each is not None)
        looked_at = await self._range(timedelta(seconds=remembers))
        self._tell(Began(range=looked_at))
        fold = BacktestFold(
            candidate,
            live,
            _tried(job, live, not_compared),
            looked_at,
            self._previewer,
            Hiding(job.hidden_names),
            samples_max=job.samples_max,
            samples_bytes_max=job.samples_bytes_max,
        )
        begins_at = looked_at.warmed.since if looked_at.warmed is not None else looked_at.since
        judge = Judge(candidate, live, begins_at, waits_bytes_max=job.waits_bytes_max)
        scan = Scan(job.tenant_id, judge, fold, from_offset=looked_at.from_offset)
        await self._scan(scan, looked_at)
        self._tell(Ended(report=scan.report(), cpu_seconds=self._cpu_seconds() - began_cpu))

    def _live(self, tenant: Tenant) -> tuple[Candidate | None, str | None]:
        """What it is compared with; or why with nothing."""
        job = self._job
        if job.live is None:
            if job.saved_id is None:
                return None, "no workflow of this name is saved"
            return None, "it is the newest revision itself"
        try:
            return candidate_of(tenant, job.live, job.live.newest, self._catalogue), None
        except InvalidInput as trouble:
            return None, f"revision {job.live.newest.number}, the newest that is saved, no longer compiles: {trouble}"

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

    async def _range(self, remembers: timedelta) -> Range:
        """Fixed here: what is appended from now on lies behind it. `remembers`: how far back what is before it matters."""
        job = self._job
        marks = await self._log.watermarks()
        first = await first_at_or_after(self._log, job.since, marks.low, marks.high)
        end = await first_at_or_after(self._log, job.until, first, marks.high)
        warmed = None
        if remembers:
            warm_since = job.since - remembers
            warm_first = await first_at_or_after(self._log, warm_since, marks.low, first)
            warmed = Warmed(since=warm_since, from_offset=warm_first)
        return Range(
            since=job.since,
            until=job.until,
            partition=job.partition,
            from_offset=first,
            to_offset=end,
            warmed=warmed,
        )

    async def _scan(self, scan: "Scan", looked_at: Range) -> None:
        """The next batch is on its way while this one is judged: the server works meanwhile."""
        end = looked_at.to_offset
        position = looked_at.first_offset
        reading = self._read(position, end) if position < end else None
        self._began, self._began_cpu = self._clock.monotonic(), self._cpu_seconds()
        try:
            while reading is not None:
                records, position = await reading
                reading = self._read(position, end) if position < end else None
                await asyncio.sleep(0)  # sends that request
                for _ in scan.take(records):
                    await self._stand_back(scan, position)
                if reading is not None:
                    await self._stand_back(scan, position)
            for _ in scan.end(looked_at.until):
                await self._stand_back(scan, position)
        finally:
            if reading is not None:
                reading.cancel()

    async def _stand_back(self, scan: "Scan", position: int) -> None:
        """Tell how far it is, now and then; pause for as long as the share of a core asks for that it may take."""
        used, now = self._cpu_seconds() - self._began_cpu, self._clock.monotonic()
        pause = max(0.0, used / self._job.cpu_share_max - (now - self._began))
        if now + pause - self._told_at >= self._job.progress_interval_seconds:
            self._told_at = now
            self._tell(Progressed(offset=position, report=scan.report()))
        if pause:
            await asyncio.sleep(pause)
        self._began, self._began_cpu = self._clock.monotonic(), self._cpu_seconds()

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

    def __init__(self, tenant_id: str, judge: Judge, fold: BacktestFold, *, from_offset: int) -> None:
        """`from_offset`: where the range begins; what lies before it is read, and not counted."""
        self._tenant_id = tenant_id.encode()
        self._judge = judge
        self._fold = fold
        self._from_offset = from_offset
        self._seen_until: datetime | None = None
        self._headers = tuple(f"ce_{name}" for name in judge.attributes)

    def report(self) -> Report:
        """As far as it has come."""
        return self._fold.report(self._judge.waits_open, self._judge.undecided())

    def take(self, records: Sequence[Record]) -> Iterator[None]:
        """In offset order. Yields once in a while, where the clock brings much between two of them."""
        events = unreadable = 0
        own, judge, wanted, begins = self._tenant_id, self._judge, self._headers, self._from_offset
        for record in records:
            headers = dict(record.headers)
            counts = record.offset >= begins
            if record.foreign or not _is_plain(headers):
                mine = self._is_mine(record)
                if mine:
                    yield from self._come_to(record)
                    unreadable += (not self._take(record)) and counts
                events += counts and mine
                continue
            if headers.get("ce_tenantid") != own:
                continue
            events += counts
            values = tuple([headers.get(name) for name in wanted])
            try:
                worth_it = judge.may_match(values) and judge.may_match_with(values, record.value)
            except (UnicodeDecodeError, InvalidInput):
                unreadable += counts
                continue
            if worth_it:
                if judge.is_clocked:
                    yield from self._come_to(record)
                unreadable += (not self._take(record)) and counts
        self._fold.events += events
        self._fold.unreadable += unreadable

    def end(self, until: datetime) -> Iterator[None]:
        """All is read; what the clock brings before `until` is left."""
        yield from self._told(self._judge.come_to(until - timedelta(microseconds=1)))

    def _come_to(self, record: Record) -> Iterator[None]:
        yield from self._told(self._judge.come_to(self._see(record)))

    def _see(self, record: Record) -> datetime:
        """The partition's time at a record: as for the matcher, it never goes back, even where the log's clock did."""
        recorded_at = codec.recorded_at(record)
        self._seen_until = recorded_at if self._seen_until is None else max(recorded_at, self._seen_until)
        return self._seen_until

    def _told(self, judgements: Iterator[Judgement | None]) -> Iterator[None]:
        for number, judged in enumerate(judgements, 1):
            if judged is not None:
                self._fold.take(judged)
            if number % INSTANTS_AT_ONCE == 0:
                yield

    def _is_mine(self, record: Record) -> bool:
        """Foreign, in structured mode, or of an old version: whose it is shows only once it is decoded."""
        try:
            return codec.decode(record).tenant_id.encode() == self._tenant_id
        except UndecodableRecord:
            return False

    def _take(self, record: Record) -> bool:
        """Whether the event could be read; what the stream makes a dead letter of cannot."""
        try:
            judged = self._judge.judge(codec.decode(record), self._see(record))
        except (UndecodableRecord, InvalidInput):
            return False
        if judged is not None:
            self._fold.take(judged)
        return True


def _is_plain(headers: dict[str, bytes]) -> bool:
    """Whether the attributes that the headers hold are those that the decoded event will have."""
    if "ce_recordversion" in headers or headers.get("ce_type") in _UPCAST_TYPES:
        return False
    content_type = headers.get(codec.CONTENT_TYPE)
    return content_type is None or content_type[:23].lower() != b"application/cloudevents"


def _tried(job: Job, live: Candidate | None, not_compared: str | None) -> Tried:
    revision = job.candidate.newest.number
    return Tried(
        id=job.saved_id,
        name=job.candidate.name,
        revision=revision,
        is_draft=job.is_draft,
        live_revision=live.start.revision.number if live is not None else None,
        live_enabled=job.live.enabled if job.live is not None and live is not None else False,
        not_compared=not_compared,
    )
