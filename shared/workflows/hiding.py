"""Values that nobody is to read in an explanation: those under keys that name secrets, at any depth, in events and documents.

A key names a secret where its path, in lower case, holds one of the configured names, its words written together or apart
in any way: `card_number` covers `cardNumber`, `Card-Number` and `card.number`. So it hides rather too much than too
little. Guarantee: what `shown` returns is bounded, is JSON, and holds nothing that lies below such a key.
Texts that are made of an event's values are judged by `event_secrets.py`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from shared.matching.numbers import LossyNumber

HIDDEN: Final = "(hidden)"
SECRET_NAMES: Final = (
    *("password", "passwd", "passphrase", "secret", "token", "authorization", "api_key", "access_key", "private_key"),
    *("credential", "signature", "cookie", "session_id", "card_number", "account_number", "cvc", "cvv", "iban"),
)
TEXT_CHARACTERS_MAX: Final = 200
VALUES_MAX: Final = 50
"""Of an object or list that is shown whole: the rest is counted."""
DEPTH_MAX: Final = 8

_WORDS = re.compile(r"[^0-9a-z]+")


class Hiding:
    """Which values are hidden, by the names of secrets."""

    def __init__(self, names: Sequence[str] = SECRET_NAMES) -> None:
        """`names`: words joined by anything that is neither letter nor digit; a name without either is none."""
        spelt = [_WORDS.split(name.casefold().strip()) for name in names]
        words = [[re.escape(word) for word in each if word] for each in spelt]
        patterns = ["[^0-9a-z]*".join(each) for each in words if each]
        self._secret = re.compile("|".join(patterns)) if patterns else None

    def names_secret(self, path: str) -> bool:
        """Whether a path, or a text that names paths, holds the name of a secret."""
        return self._secret is not None and self._secret.search(path.casefold()) is not None

    def shown(self, path: str, value: object) -> object:
        """The value at a path as JSON for people: hidden, or with what is hidden in it, and cut where it is long."""
        return HIDDEN if self.names_secret(path) else self._shown(path, value, _Room())

    def _shown(self, path: str, value: object, room: "_Room", depth: int = 0) -> object:
        room.left -= 1
        match value:
            case str():
                return cut(value)
            case Mapping():
                if depth >= DEPTH_MAX:
                    return "(nested deeper)"
                members: dict[str, object] = {}
                for key, member in value.items():
                    if room.left <= 0:
                        members["…"] = f"{len(value) - len(members)} more"
                        break
                    below = f"{path}.{key}"
                    secret = self.names_secret(below)
                    members[cut(str(key))] = HIDDEN if secret else self._shown(below, member, room, depth + 1)
                return members
            case list() | tuple():
                if depth >= DEPTH_MAX:
                    return "(nested deeper)"
                items: list[object] = []
                for item in value:
                    if room.left <= 0:
                        items.append(f"… {len(value) - len(items)} more")
                        break
                    items.append(self._shown(path, item, room, depth + 1))
                return items
            case LossyNumber():
                return value.token
            case int() | float() | None:
                return value
        return cut(str(value))


class _Room:
    """How many values may still be shown."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = VALUES_MAX


def cut(text: str) -> str:
    """At most `TEXT_CHARACTERS_MAX` characters, and an ellipsis where there were more; no half of a surrogate pair."""
    short = text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"
    return short.encode("utf-8", "replace").decode()
