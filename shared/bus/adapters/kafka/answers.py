"""What a broker's error code means here: done, ask again, or a sentence that says what stands in the way."""

from enum import Enum

from aiokafka import errors as kafka_errors

from shared.domain.errors import PermanentError

OFFSET_OUT_OF_RANGE = 1
NOT_COORDINATING = frozenset({14, 15, 16})  # loading, none yet, another one
ILLEGAL_GENERATION = 22
INCONSISTENT_PROTOCOL = 23
UNKNOWN_MEMBER = 25
INVALID_SESSION_TIMEOUT = 26
REBALANCING = 27
MEMBER_ID_REQUIRED = 79
FENCED_INSTANCE = 82  # another process joined under this member's name; aiokafka 0.14.0 does not know the code

_NEEDS = {29: "Read and Describe on the topic", 30: "Read on the group", 31: "ClusterAction"}
# Beside what aiokafka calls retriable: something unexpected in the broker, replica away, fenced and unknown leader epochs, offset
# not available yet.
_AGAIN = frozenset({-1, 8, 9, 72, 74, 75, 76, 78})


class Answer(Enum):
    """What to do about it."""

    DONE = "done"
    AGAIN = "again"


def judge(code: int, what: str) -> Answer:
    """`PermanentError` where asking again will not mend it."""
    if code == 0:
        return Answer.DONE
    error = kafka_errors.for_code(code)
    if code in _AGAIN or error.retriable:
        return Answer.AGAIN
    if code in _NEEDS:
        raise PermanentError(f"Kafka does not let this user at {what}: grant {_NEEDS[code]} (`kafka-acls --add`)")
    raise PermanentError(f"Kafka refuses {what}: {error.__name__} ({code})")
