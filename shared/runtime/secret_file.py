"""The secret that signs tokens: given by the operator, or drawn once and kept in the data folder, 0600.

Guarantee: processes that start at the same moment end up with one secret; a half-written file is never read.
"""

import os
from pathlib import Path

from shared.domain.clock import Randomness
from shared.domain.errors import InvalidInput

JWT_SECRET_FILE = "jwt-secret"  # noqa: S105  a file's name
SECRET_BYTES_MIN = 16
"""HMAC-SHA256 with fewer key bytes could be guessed offline from one token; 32 random ones are what we make ourselves."""
_DRAWN_BYTES = 32


def load_or_create(path: Path, randomness: Randomness) -> bytes:
    """The secret in `path`; drawn and written first where there is none. Hex text, so that an editor does no harm."""
    if not path.exists():
        _create(path, randomness.token_bytes(_DRAWN_BYTES).hex(), suffix=randomness.token_bytes(8).hex())
    secret = path.read_bytes().strip()
    if len(secret) < SECRET_BYTES_MIN:
        raise InvalidInput(f"{path.name} holds fewer than {SECRET_BYTES_MIN} bytes; delete it to have a new one made")
    return secret


def jwt_secret(configured: str | None, data_dir: Path, randomness: Randomness) -> bytes:
    """`UPSHOT_JWT_SECRET` where it is set, else the data folder's own."""
    if configured is not None:
        return configured.encode()
    return load_or_create(data_dir / JWT_SECRET_FILE, randomness)


def _create(path: Path, text: str, *, suffix: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{suffix}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link fails where the name is taken: of two processes the first wins, and both read its secret.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
