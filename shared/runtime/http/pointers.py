"""Places in a JSON document, as RFC 6901 pointers in a URI fragment: `#/steps/0/with`."""

from collections.abc import Iterable
from urllib.parse import quote

_SAFE = "!$&'()*+,;=:@?-._~"


def pointer_of(location: Iterable[str | int], *, prefix: str = "#") -> str:
    """The pointer of a path of keys and indices; `#` is the whole document."""
    return prefix + "".join(f"/{_escape(str(part))}" for part in location)


def _escape(part: str) -> str:
    return quote(part.replace("~", "~0").replace("/", "~1"), safe=_SAFE)
