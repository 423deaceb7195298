"""A job whose process ends early is a failure that says so, whatever the loop says of its pipe."""

import asyncio
from datetime import UTC, datetime

from services.backtests.service.processes import ProcessRunner
from services.backtests.service.protocol import Failed, Job, Message
from shared.domain.definitions import Workflow
from shared.domain.plans import UNBOUNDED

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AT_ONCE = 40
"""So many that most processes have ended before they are told anything."""
JOB = Job(
    tenant_id="acme",
    plan="unlimited",
    quotas=UNBOUNDED,
    definitions_version=0,
    endpoints=(),
    candidate=Workflow(id="w", tenant_id="acme", name="w", enabled=True, revisions=()),
    is_draft=True,
    saved_id=None,
    live=None,
    partition=0,
    since=AT,
    until=AT,
    samples_max=1,
    samples_bytes_max=1_000,
    waits_bytes_max=1_000,
    batch_records=1,
    cpu_share_max=1.0,
    nice=0,
    progress_interval_seconds=1.0,
)


async def test_a_process_that_never_listens_is_told_of() -> None:
    runner = ProcessRunner(["true"], {}, b"")

    async def told() -> list[Message]:
        return [each async for each in runner.run(JOB)]

    ended = await asyncio.gather(*(told() for _ in range(AT_ONCE)))

    failed = Failed(detail="its process ended with status 0 before it was through; start it again")
    assert ended == [[failed]] * AT_ONCE
