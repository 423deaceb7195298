"""What CloudEvents 1.0 asks of an event's attributes, whatever protocol they came by. Pure.

Next: `cloudevents_http.py` and `foreign.py`, which read them.
"""

import re
from collections.abc import Iterable, Mapping

from shared.bus import rfc3339, rfc3986
from shared.domain.errors import Flaw

_REQUIRED = ("specversion", "id", "source", "type")
_NEVER_EMPTY = ("subject", "dataschema", "datacontenttype", "time")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


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
    if _CONTROL.search("".join(attributes.values())):
        for name, value in attributes.items():
            if _CONTROL.search(value):
                yield Flaw(pointer=f"#/{name}", detail="holds a control character")
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
