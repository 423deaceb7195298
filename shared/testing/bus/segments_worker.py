"""Exports, detaches or attaches a segment in a process of its own, which a test may kill at any line that it prints.

After each line it waits for one on standard input, so that it can't run ahead of whoever means to kill it there.

python -m shared.testing.bus.segments_worker ADDRESS export|detach|attach SEGMENT FOLDER
"""

import asyncio
import sys
from pathlib import Path

import asyncpg

from shared.bus.adapters.postgres.archiving import alone, attach_segment, detach_segment, export_segment
from shared.bus.adapters.postgres.segments import find_segment


async def main(address: str, what: str, name: str, folder: str) -> None:
    """Each step said on a line of its own."""
    connection = await asyncpg.connect(address)
    async with alone(connection):
        segment = await find_segment(connection, name)
        if what == "export":
            await export_segment(connection, segment, Path(folder), _say)
        elif what == "detach":
            await detach_segment(connection, segment, {}, None, _say)
        else:
            await attach_segment(connection, segment, None, _say)
    await connection.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
