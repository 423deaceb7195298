"""A workflow's file: the document in its short form, in YAML, and beside its name whether it is enabled.

Guarantee: what is written is read back as the same document; every flaw of a file is told with its line. JSON is read
as well, and written where a document is too large for the bounds on YAML.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import lost_numbers, read_json
from shared.runtime.http.body import DIGITS_LOST
from shared.runtime.http.pointers import pointer_of
from shared.runtime.http.yaml_text import Place, read_yaml, read_yaml_with_lines
from shared.workflows.short_form import short_form
from shared.workflows.yaml_text import write_yaml

SUFFIXES = (".yaml", ".yml", ".json")
FILE_BYTES_MAX = 1_048_576
"""As much as the platform takes by default."""

_SLUG_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    """One file, read. `lines`: where each value stands."""

    path: Path
    document: Mapping[str, object]
    enabled: bool
    lines: Mapping[Place, int]

    @property
    def name(self) -> str:
        return str(self.document.get("name", ""))

    def told(self, flaw: Flaw) -> str:
        """A flaw as people and editors read it: `path:line: #/pointer: what`."""
        return f"{self.path}:{_line_of(flaw.pointer, self.lines)}: {flaw.pointer}: {flaw.detail}"


class UnreadableFile(InvalidInput):
    """A file that is no workflow at all; `told` is what to say of it, a line each."""

    def __init__(self, path: Path, flaws: Iterable[Flaw]) -> None:
        found = list(flaws)
        super().__init__(f"{path} cannot be read", found)
        self.told = [_told_of_text(path, flaw) for flaw in found]


def find_files(root: Path) -> list[Path]:
    """The files of a folder and of those below it, by name; a file itself. Raises InvalidInput where there is none."""
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise InvalidInput(f"there is no file or folder {root}")
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def read_file(path: Path) -> WorkflowFile:
    """Raises UnreadableFile."""
    try:
        body = path.read_bytes()
        if len(body) > FILE_BYTES_MAX:
            raise UnreadableFile(path, [Flaw(pointer="#", detail=f"it has more than {FILE_BYTES_MAX} bytes")])
        return parse_file(path, body)
    except OSError as error:
        raise UnreadableFile(path, [Flaw(pointer="#", detail=f"it cannot be read: {error.strerror}")]) from None


def parse_file(path: Path, body: bytes) -> WorkflowFile:
    """The file that holds `body`. Raises UnreadableFile."""
    try:
        value, lines = _json_with_lines(body) if path.suffix == ".json" else read_yaml_with_lines(body)
    except InvalidInput as trouble:
        raise UnreadableFile(path, trouble.flaws) from None
    if not isinstance(value, dict):
        detail = "a workflow is an object with name, trigger, steps"
        raise UnreadableFile(path, [Flaw(pointer="#", detail=detail)])
    document = dict(value)
    enabled = document.pop("enabled", True)
    if not isinstance(enabled, bool):
        raise UnreadableFile(path, [Flaw(pointer="#/enabled", detail="write true or false")])
    return WorkflowFile(path=path, document=document, enabled=enabled, lines=lines)


def file_text(document: Mapping[str, object], *, enabled: bool) -> str:
    """What a workflow's file holds: as little as says it all, always in the same order."""
    short = short_form(document)
    switch = {} if enabled else {"enabled": False}
    head = {"name": short.pop("name")} if "name" in short else {}
    return write_yaml({**head, **switch, **short})


def file_of(stem: Path, document: Mapping[str, object], *, enabled: bool) -> tuple[Path, bytes]:
    """The path, `stem` with a suffix, and the bytes of a workflow's file."""
    body = file_text(document, enabled=enabled).encode()
    try:
        read_yaml(body)
    except InvalidInput:  # too large for YAML, which has tighter bounds than JSON
        whole = {**document, "enabled": enabled}
        return stem.with_name(f"{stem.name}.json"), orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n"
    return stem.with_name(f"{stem.name}.yaml"), body


def slug(name: str) -> str:
    """A file's name from a workflow's: `Größe ≥ 5!` becomes `grosse-5`."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())[:_SLUG_CHARACTERS_MAX].strip("-") or "workflow"


def free_slug(name: str, taken: Collection[str]) -> str:
    """The first of `slug`, `slug-2`, … that is not taken."""
    return next(each for each in _numbered(slug(name)) if each not in taken)


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}"


def _told_of_text(path: Path, flaw: Flaw) -> str:
    """What the readers say of a text that is none begins with its line."""
    found = re.match(r"line (\d+): ", flaw.detail)
    line, detail = (found[1], flaw.detail[found.end() :]) if found is not None else ("1", flaw.detail)
    return f"{path}:{line}: {flaw.pointer}: {detail}"


def _json_with_lines(body: bytes) -> tuple[object, Mapping[Place, int]]:
    value = read_json(body)
    if lost := lost_numbers(body):
        flaws = [Flaw(pointer=pointer_of(place), detail=DIGITS_LOST.format(number=token[:60])) for place, token in lost]
        raise InvalidInput("it holds numbers that cannot be kept", flaws)
    try:
        return value, read_yaml_with_lines(body)[1]  # JSON is YAML as well, but for its bounds
    except InvalidInput:
        return value, {}


def _line_of(pointer: str, lines: Mapping[Place, int]) -> int:
    """Of what the pointer names, else of the nearest thing around it that is there."""
    known = {tuple(map(str, place)): line for place, line in lines.items()}
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    for length in range(len(parts), -1, -1):
        line = known.get(tuple(parts[:length]))
        if line is not None:
            return line
    return 1
