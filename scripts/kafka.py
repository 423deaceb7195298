"""`make kafka`: Apache Kafka on this machine's Java, in the foreground, until Ctrl-C or SIGTERM.

It listens where Upshot looks by default, on 9092 and the ports behind it, or on others where those are taken. Prints one line of
JSON with its addresses on standard output, and how to use it on standard error. Its data lies in a temporary folder and is gone
afterwards. `--prepare` brings the jars and what makes starts quick, and ends.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shared.testing.kafka import BOOTSTRAP_VARIABLE, kafka_cluster, train
from shared.testing.kafka_jars import kafka_missing

_HEAP_MB = 512
_FIRST_PORT = 9092


def main() -> int:
    parser = argparse.ArgumentParser(description="Apache Kafka for development")
    parser.add_argument("--nodes", type=int, default=1, choices=range(1, 6), metavar="N", help="1 or 3, at most 5")
    parser.add_argument("--prepare", action="store_true", help="bring what is needed, and end")
    arguments = parser.parse_args()
    if (missing := kafka_missing()) is not None:
        print(f"kafka: {missing}", file=sys.stderr)
        return 0 if arguments.prepare else 1
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(train() if arguments.prepare else serve(arguments.nodes))
    return 0


async def serve(nodes: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    print(f"kafka: starting {nodes} {'node' if nodes == 1 else 'nodes'}", file=sys.stderr, flush=True)
    async with kafka_cluster(nodes=nodes, heap_mb=_HEAP_MB, first_port=_FIRST_PORT) as cluster:
        servers = cluster.bootstrap_servers
        print(json.dumps({"bootstrap_servers": servers, "nodes": nodes, BOOTSTRAP_VARIABLE: servers}), flush=True)
        print(f"kafka: export {BOOTSTRAP_VARIABLE}={servers}", file=sys.stderr)
        print("kafka: Ctrl-C ends it and removes its data", file=sys.stderr, flush=True)
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())
