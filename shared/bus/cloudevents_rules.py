"""What CloudEvents 1.0 asks of an event's attributes, whatever protocol they came by. Pure.

Next: `cloudevents_http.py` and `foreign.py`, which read them.
"""

import re
from collections.abc import Iterable, Mapping

from shared.bus import rfc3986
from shared.domain import rfc3339
from shared.domain.errors import Flaw

_REQUIRED = ("specversion", "id", "source", "type")
_NEVER_EMPTY = ("subject", "dataschema", "datacontenttype", "time")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_CHARACTER = re.compile(
    f"[\ufdd0-\ufdef{''.join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))}]"
)
"""What Unicode keeps from ever being one."""


def attribute_flaws(attributes: Mapping[str, str]) -> Iterable[Flaw]:
    """Each thing that is wrong with them. `attributes`: in canonical string form, `datacontenttype` among them."""
    for name in _REQUIRED:
        if not attributes.get(name):
            yield Flaw(pointer=f"#/{name}", detail="this attribute is needed and must not be empty")
    for name in _NEVER_EMPTY:
        if attributes.get(name) == "":
            yield Flaw(pointer=f"#/{name}", detail="must not be empty: leave it out")
    if attributes.get("specversion", "1.0") != "1.0":
        yield Flaw(pointer="#/specversion", detail="only 1.0 is understood")
    yield from character_flaws(attributes)
    if not rfc3986.is_reference(attributes.get("source", "")):
        detail = "no URI reference, such as /shop or https://shop.example: percent-encode what stands out of place"
        yield Flaw(pointer="#/source", detail=detail)
    if (dataschema := attributes.get("dataschema")) and not rfc3986.is_uri(dataschema):
        detail = "no URI with a scheme, such as https://…: percent-encode what stands out of place"
        yield Flaw(pointer="#/dataschema", detail=detail)
    if time := attributes.get("time"):
        try:
            rfc3339.parse(time)
        except ValueError as error:
            yield Flaw(pointer="#/time", detail=str(error))


def character_flaws(attributes: Mapping[str, str]) -> Iterable[Flaw]:
    """What stands in them that no attribute may hold."""
    if "".join(attributes.values()).isprintable():  # nearly all are, and neither of the two is
        return
    for name, value in attributes.items():
        if _CONTROL.search(value):
            yield Flaw(pointer=f"#/{name}", detail="holds a control character")
        if _NO_CHARACTER.search(value):
            yield Flaw(pointer=f"#/{name}", detail="holds what is no character, such as U+FFFF")
