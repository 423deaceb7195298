"""What names a command: its idempotency key, what was asked with it, and which revision it builds on. Pure.

Guarantee: the same request is the same bytes; another body, path, method or base revision gives others. They may hold secrets, so
what a record keeps of them is a keyed hash (`Sealer.fingerprint`).
"""

import hashlib
import re

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import derive
from shared.expressions.canonical import canonical_json

KEY_CHARACTERS_MAX = 200

# A structured-field string (RFC 9651 §3.3.3) holds printable ASCII, with \" and \\ escaped.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-~]+")
# Entity tags (RFC 9110 §8.8.3) in a list (§5.6.1), in which elements may be empty and commas stand within the quotes.
_TAG = r'(?:W/)?"[^\x00-\x20"\x7f]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_TAG_OF_REVISION = re.compile(r'"([1-9][0-9]{0,8})"')
_BARE_REVISION = re.compile(r"[1-9][0-9]{0,8}")


def parse_idempotency_key(header: str) -> str:
    """The key of an `Idempotency-Key` header, quoted as the draft has it, or bare. Raises InvalidInput."""
    text = header.strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise _unusable("write it as a text in quotes: printable ASCII, at best a UUID")
    if not key.strip():
        raise _unusable("it is empty")
    if len(key) > KEY_CHARACTERS_MAX:
        raise _unusable(f"it has more than {KEY_CHARACTERS_MAX} characters")
    return key


def request_text(method: str, path: str, document: object, *, base: str | None = None) -> bytes:
    """What is asked, as canonical JSON. `base`: what the change builds on (`If-Match`)."""
    return canonical_json({"method": method, "path": path, "base": base, "body": document})


def plain_hash(request: bytes) -> str:
    """SHA-256 (hex), as records of 0.1 hold it: for recognising their repetition, never to be kept."""
    return hashlib.sha256(request).hexdigest()


def record_id(tenant_id: str, command_id: str, payload: str) -> str:
    """The id of the record that a command is: repeating it appends the same fact again, which changes nothing."""
    return derive("command", tenant_id, command_id, payload)


def parse_if_match(header: str) -> frozenset[int] | None:
    """The revisions any of which a change may build on, most often one: `"3"`; None for `*`, whichever is newest.

    Compared strongly, as RFC 9110 §13.1.1 has it: weak tags, and those of no revision, match nothing. A bare number is taken for
    the tag that was meant. Raises InvalidInput where the text is no list of tags.
    """
    text = header.strip()
    if text == "*":
        return None
    if _BARE_REVISION.fullmatch(text):
        return frozenset({int(text)})
    if not _TAGS.fullmatch(text):
        detail = 'give the revision that you read, as its ETag says: If-Match: "3"'
        raise InvalidInput("The header If-Match cannot be used.", [Flaw(pointer="#", detail=detail)])
    found = map(_TAG_OF_REVISION.fullmatch, re.findall(_TAG, text))
    return frozenset(int(tag[1]) for tag in found if tag is not None)


def etag(revision: int) -> str:
    """The ETag of a revision."""
    return f'"{revision}"'


def _unusable(detail: str) -> InvalidInput:
    return InvalidInput("The header Idempotency-Key cannot be used.", [Flaw(pointer="#", detail=detail)])
