"""Makes aiokafka 0.14.0 take a connection that uvloop has closed for a connection that is closed.

Writing to a closed transport raises RuntimeError in uvloop, where asyncio only logs, and aiokafka catches OSError alone
(aiokafka's issue 1038, open). What the error then reaches ends for good: the task that keeps a client's metadata, so that it
asks former leaders for ever; a consumer's coordination; a producer's sender.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_WRITING = ("send", "_send_sasl_token")


def install() -> None:
    """Once, before the first connection."""
    for name in _WRITING:
        setattr(AIOKafkaConnection, name, _telling(getattr(AIOKafkaConnection, name)))


def _telling(method: Any) -> Any:  # aiokafka has no types
    def write(self: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except RuntimeError as error:
            if type(error) is not RuntimeError:  # such as NotImplementedError, of a version that it lacks
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return write
