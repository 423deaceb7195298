"""PostgreSQL clusters for platforms of tests: made once in a workspace, and copied, as whoever restores a backup would.

To make one takes half of a platform's first start. Only where processes may be warm: with `UPSHOT_TEST_WARM=0` every
platform makes its own. Next: `shared/runtime/embedded_postgres/`.
"""

import asyncio
import threading
from pathlib import Path

from shared.runtime.embedded_postgres import EmbeddedPostgresSettings, ensure_server
from shared.testing import warm
from shared.testing.workspace import Workspace

_FOLDER = "made"
_making = threading.Lock()
_WAL_SIZE_MB = 32
"""Made ready, and copied each time; the rest comes as it is needed."""


async def give_cluster(space: Workspace, data_dir: Path) -> None:
    """Put a cluster into a data folder that does not exist yet. Does nothing where processes are not warm."""
    if not warm.is_begun() or await asyncio.to_thread(data_dir.exists):
        return
    made = space.folder / _FOLDER
    await asyncio.to_thread(_making.acquire)  # tests that wait together begin together, and have loops of their own
    try:
        if not await asyncio.to_thread(made.exists):
            settings = EmbeddedPostgresSettings(system_dir=space.system_dir, min_wal_size_mb=_WAL_SIZE_MB)
            await (await ensure_server(made, settings)).release()
    finally:
        _making.release()
    copying = await asyncio.create_subprocess_exec("cp", "-a", str(made), str(data_dir))
    assert await copying.wait() == 0, f"{made} could not be copied to {data_dir}"
