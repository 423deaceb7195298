"""The shell snippets of the documents, run in order against a platform, as a reader would: one tenant for each document."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shared.runtime.clock import SystemClock
from shared.testing.at_once import at_once, chosen
from shared.testing.markdown import Snippet, snippets
from shared.testing.platform import REPOSITORY, RunningPlatform, running_platform
from shared.testing.receivers import receiver
from shared.testing.shell import Shell
from shared.testing.tenant_client import make_tenant
from shared.testing.workspace import Workspace

pytestmark = pytest.mark.slow

SHELL = [each for each in snippets(REPOSITORY) if each.kind == "sh"]
DOCUMENTS = list(dict.fromkeys(each.document for each in SHELL))
QUICKSTART = "docs/quickstart.md"
EXPLAIN = "docs/how-to/explain-a-match.md"
SCRIPT_SECONDS = 90.0
READ_AT_ONCE = 2

# What the quickstart has defined for those who come from there.
HELPERS = """
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
api() { curl -fsS -H "Authorization: Bearer $TOKEN" "$@"; }
"""


SAID = {
    QUICKSTART: ['"text":"Order 1001 of 1299.00 EUR"', "chain unbroken"],
    "docs/how-to/connect-a-source.md": ["github.issues.opened", "signature_mismatch"],
    "docs/how-to/receive-any-webhook.md": ['{"price":42}', "missing_header"],
    "docs/how-to/try-a-workflow.md": [
        '"matched":true',
        "4 matches in 6 events",
        "and 5 planned instants",
        "runs_per_day                 2",
        "- 2 no longer matching",
    ],
    "docs/how-to/operate.md": ["equal to the live read model"],
    "docs/how-to/count-and-miss-events.md": [
        'Denials: no, it counted as 2 of 3 within 600 s for the key "ann"',
        'Denials: no, it counted as 1 of 3 within 600 s for the key "bob"',
        "Denials: yes, it led to run",
        "Unpaid: no, it opened a wait that event",
        "Unpaid: yes, it led to run",
        'Unpaid: no, it is what a wait for the key "1" is for, and ended one',
    ],
    EXPLAIN: [
        *(each.text.strip() for each in snippets(REPOSITORY) if (each.document, each.kind) == (EXPLAIN, "text")),
        "yes, it led to run",
        "as it is today (revision 2) it would have matched; no run came of it then",
        "it was not the one that was live (revision 1 was)",
    ],
}
"""What a document's commands must have printed, beside ending well."""


def stem(document: str) -> str:
    return Path(document).stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where all documents are read: one platform, the command, and a port that the quickstart's receiver may have."""

    platform: RunningPlatform
    shell: Shell
    receiver_port: int


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(space: Workspace, shell: Shell) -> AsyncIterator[Stage]:
    # A port that nobody else has: the quickstart's own receiver will listen there.
    async with receiver(SystemClock()) as reserved:
        receiver_port = reserved.port
    allowed = {"UPSHOT_EGRESS_ALLOW": f"127.0.0.1:{receiver_port}"}
    async with running_platform(space, "documents", environment=allowed) as platform:
        yield Stage(platform=platform, shell=shell, receiver_port=receiver_port)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def readings(
    stage: Stage, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, asyncio.Task[str]]]:
    """What each chosen document's commands print. Much of their time they only wait, so a second document is read meanwhile."""

    async def reading(name: str) -> str:
        own = [each for each in SHELL if stem(each.document) == name]
        return await run_snippets(own, stage, tmp_path_factory.mktemp(name))

    async with at_once(chosen(request, test_shell_snippets_run), reading, at_most=READ_AT_ONCE) as tasks:
        yield tasks


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("document", DOCUMENTS, ids=stem)
async def test_shell_snippets_run(readings: Mapping[str, asyncio.Task[str]], document: str) -> None:
    output = await readings[stem(document)]
    for text in SAID.get(document, ()):
        assert text in output
    if document == "docs/how-to/approve-runs.md":
        assert output.rstrip().endswith("succeeded")


def test_what_must_be_printed_is_of_documents_that_there_are() -> None:
    assert set(SAID) <= set(DOCUMENTS)


async def run_snippets(own: list[Snippet], stage: Stage, folder: Path) -> str:
    """What they print. One shell for all of a document's snippets; it stops at the first command that fails."""
    document, platform = own[0].document, stage.platform
    prelude = "set -euo pipefail\n"
    environment = {**os.environ, **platform.environment}
    if document != QUICKSTART:
        tenant, token = await make_tenant(platform, re.sub(r"\W+", "-", Path(document).stem))
        environment |= {"TENANT": tenant, "TOKEN": token, "URL": platform.url}
        prelude += HELPERS
    environment["PATH"] = stage.shell.path()
    script = prelude + "\n".join(each.text for each in own)
    script = script.replace("127.0.0.1:8080", platform.url.removeprefix("http://"))
    script = re.sub(r"\b9000\b", str(stage.receiver_port), script)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(SCRIPT_SECONDS):
            assert process.stdout is not None
            assert process.stderr is not None
            # The script's own end counts, not that of what it leaves in the background.
            reading = asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
            end_session(process.pid)
            output, errors = await reading
    finally:
        end_session(process.pid)
    if process.returncode:
        pytest.fail(f"{document} failed:\n{output.decode()}\n{errors.decode()}")
    return output.decode()


def end_session(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
