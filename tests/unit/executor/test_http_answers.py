"""What an answer's body becomes as a step's output."""

from datetime import UTC, datetime

import pytest

from services.executor.actions.http_answers import judge
from shared.runtime.egress import Answer

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"id": 12345678901234567890123}', {"id": 12345678901234567890123}),
        (b'{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        (b"{", "{"),
        (b"", None),
    ],
)
def test_json_is_read_without_losing_a_digit_of_an_id_and_anything_else_is_text(body: bytes, shown: object) -> None:
    answer = Answer(
        status=200, headers={"content-type": "application/json"}, body=body, truncated=False, elapsed_seconds=0.1
    )
    assert judge(answer, NOW).output == {"status": 200, "body": shown, "truncated": False}
