"""Request bodies: read no further than the limit, and understood in one way only.

Guarantee: a body over its limit, as it comes or unpacked, is a 413 before it is in memory; one that trickles in is a 408; what
cannot be parsed is a 400 with the reason; a NUL character, which no column of the read models could hold, is refused where it
stands. Next: `unpacking.py`; `yaml_text.py`; `shared/domain/json_text.py` for what is refused in JSON.
"""

import asyncio
from collections.abc import Callable, Iterator

from aiohttp import ClientError, StreamReader, web

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import lost_numbers, read_json
from shared.runtime.http.pointers import pointer_of
from shared.runtime.http.problems import HttpProblem
from shared.runtime.http.unpacking import TAKEN, CodingNotTaken, NotUnpackable, UnpacksTooLarge, coding_of, unpack
from shared.runtime.http.yaml_text import read_yaml

BODY_BYTES_MAX_DEFAULT = 1_048_576
BODY_TIMEOUT_SECONDS_DEFAULT = 30.0
JSON_TYPE = "application/json"
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})

DIGITS_LOST = (
    "{number} has more digits than a number here keeps (whole ones 64 bits, others about 16 digits); quote or round it"
)

_BROKEN = (ClientError, web.RequestPayloadError, ConnectionError)


async def read_body(
    request: web.Request,
    *,
    bytes_max: int = BODY_BYTES_MAX_DEFAULT,
    timeout_seconds: float = BODY_TIMEOUT_SECONDS_DEFAULT,
) -> bytes:
    """The whole body, unpacked where it came compressed. Raises HttpProblem 415, 413, 408 or 400."""
    if not request.body_exists:
        return b""
    coding = _coding(request)
    body = await _received(request, bytes_max, timeout_seconds)
    return body if coding is None else _unpacked(body, coding, bytes_max)


def _coding(request: web.Request) -> str | None:
    try:
        return coding_of(",".join(request.headers.getall("Content-Encoding", ())))
    except CodingNotTaken:
        detail = f"send the body as it is, or in one of these Content-Encodings: {TAKEN}"
        raise HttpProblem(415, "unsupported-content-encoding", detail, headers={"Accept-Encoding": TAKEN}) from None


def _unpacked(body: bytes, coding: str, bytes_max: int) -> bytes:
    try:
        return unpack(body, coding, bytes_max=bytes_max)
    except UnpacksTooLarge:
        raise _too_large(bytes_max) from None
    except NotUnpackable:
        detail = f"the body is announced as {coding} and is not, or not all of it"
        raise HttpProblem(400, "unreadable-body", detail) from None


async def _received(request: web.Request, bytes_max: int, timeout_seconds: float) -> bytes:
    announced = request.content_length
    if announced is not None and announced > bytes_max:
        raise _too_large(bytes_max)
    content = request.content
    try:
        if content.is_eof():
            # A small body came with its headers: what is already here needs no timer.
            body = content.read_nowait()
            if len(body) > bytes_max:
                raise _too_large(bytes_max)
            return body
        async with asyncio.timeout(timeout_seconds):
            return await _read_all(content, bytes_max)
    except TimeoutError:
        raise HttpProblem(408, "body-timeout", f"the body did not arrive within {timeout_seconds:g} seconds") from None
    except _BROKEN as error:
        raise HttpProblem(400, "unreadable-body", "the body ended early, or its encoding is broken") from error


def parse_document(body: bytes, content_type: str, *, yaml: bool = False) -> object:
    """The value of a JSON (or, where `yaml` allows it, YAML) body. Raises HttpProblem 400 or 415."""
    if yaml and content_type in YAML_TYPES:
        return _understood(read_yaml, body, may_hold_nul=True)
    if content_type != JSON_TYPE and not content_type.endswith("+json"):
        accepted = f"{JSON_TYPE} or application/yaml" if yaml else JSON_TYPE
        raise HttpProblem(415, "unsupported-media-type", f"send the body as Content-Type: {accepted}")
    return _understood(read_json, body, may_hold_nul=b"\\u0000" in body)


def refuse_lost_digits(body: bytes, *, below: tuple[str, ...] = ()) -> None:
    """Raises HttpProblem 422 for numbers, below that place, that would not be kept as they are written."""
    flaws = [
        Flaw(pointer=pointer_of(place), detail=DIGITS_LOST.format(number=token[:60]))
        for place, token in lost_numbers(body)
        if place[: len(below)] == below
    ]
    if flaws:
        raise HttpProblem(422, "invalid-input", "the document holds numbers that cannot be kept", flaws=flaws)


async def _read_all(content: StreamReader, bytes_max: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
    return bytes(body)


def _understood(read: Callable[[bytes], object], body: bytes, *, may_hold_nul: bool) -> object:
    try:
        value = read(body)
        if may_hold_nul:
            _refuse_nul(value)
    except InvalidInput as trouble:
        raise HttpProblem.of_invalid(trouble, status=400, kind="unreadable-body") from None
    return value


def _refuse_nul(value: object) -> None:
    flaws = [
        Flaw(pointer=pointer_of(place), detail="it holds a NUL character (\\u0000); leave it out")
        for place in _places_of_nul(value, ())
    ]
    if flaws:
        raise InvalidInput("The body holds characters that cannot be kept.", flaws)


def _places_of_nul(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    # Depth is bounded by whoever parsed the value.
    if isinstance(value, str):
        if "\0" in value:
            yield place
    elif isinstance(value, dict):
        for key, each in value.items():
            if "\0" in key:
                yield (*place, key)
            yield from _places_of_nul(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _places_of_nul(each, (*place, index))


def _too_large(bytes_max: int) -> HttpProblem:
    return HttpProblem(413, "body-too-large", f"at most {bytes_max} bytes are taken", members={"bytes_max": bytes_max})
