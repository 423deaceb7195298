"""What CloudEvents 1.0 asks of an event's attributes, whatever protocol they came by. Pure.

Next: `cloudevents_http.py` and `foreign.py`, which read them.
"""

import re
from collections.abc import Iterable, Mapping

from shared.bus import rfc3339
from shared.domain.errors import Flaw

_REQUIRED = ("specversion", "id", "source", "type")
_NEVER_EMPTY = ("subject", "dataschema", "datacontenttype", "time")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_IN_URIS = re.compile(r'[\s<>"{}|\\^`]')


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
    for name in ("source", "dataschema"):
        if _NOT_IN_URIS.search(attributes.get(name, "")):
            yield Flaw(pointer=f"#/{name}", detail="no URI: percent-encode what stands out of place")
    if time := attributes.get("time"):
        try:
            rfc3339.parse(time)
        except ValueError as error:
            yield Flaw(pointer="#/time", detail=str(error))
