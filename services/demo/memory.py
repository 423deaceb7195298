"""What the demo itself must know the next time: what its vendors sign with, its receiver's port, what it has seen before.

A file of its own in the demo's data folder, 0600, written whole: whoever is killed leaves the old one or the new one.
The results in it are only compared with: what is shown comes from the platform.
"""

from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from services.demo.deliveries import ENDPOINTS, SOURCES
from shared.domain.clock import Randomness
from shared.domain.endpoint_secret import generate_endpoint_secret
from shared.domain.errors import PermanentError
from shared.runtime.embedded_postgres.folders import write_whole

FILE = "demo.json"
BATCHES_MAX = 20


class Seen(BaseModel):
    """One delivery's outcome."""

    model_config = ConfigDict(frozen=True)

    vendor: str
    title: str
    event_id: str
    event_type: str
    run_id: str | None
    status: str | None


class Batch(BaseModel):
    """One start's deliveries that became events."""

    model_config = ConfigDict(frozen=True)

    at: str
    seen: tuple[Seen, ...]


class Memory(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True)

    source_secrets: dict[str, str]
    endpoint_secrets: dict[str, str]
    receiver_port: int
    batches: tuple[Batch, ...] = ()

    def with_batch(self, batch: Batch) -> "Memory":
        return self.model_copy(update={"batches": (*self.batches, batch)[-BATCHES_MAX:]})


def recall(data_dir: Path) -> Memory | None:
    """None on the first start. Raises PermanentError where the file is not ours to read."""
    path = data_dir / FILE
    try:
        return Memory.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise PermanentError(f"{path} cannot be used; remove {data_dir} to start the demo afresh") from error


def begin(randomness: Randomness, receiver_port: int) -> Memory:
    """New secrets."""
    return Memory(
        source_secrets={name: randomness.token_bytes(24).hex() for name in SOURCES},
        endpoint_secrets={name: generate_endpoint_secret(randomness.token_bytes(32)) for name in ENDPOINTS},
        receiver_port=receiver_port,
    )


def remember(data_dir: Path, memory: Memory) -> None:
    write_whole(data_dir / FILE, orjson.dumps(memory.model_dump(), option=orjson.OPT_INDENT_2).decode(), mode=0o600)
