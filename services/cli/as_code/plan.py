"""What there is to do so that the platform's workflows agree with the files. Pure.

Workflows are told apart by their names. Guarantee: nothing is planned for a workflow that means the same already; each
change names the revision that it was planned on.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.cli.as_code.files import WorkflowFile, file_text
from shared.workflows.changes import same
from shared.workflows.short_form import short_form

Kind = Literal["create", "update", "unchanged", "archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A workflow as the platform has it."""

    id: str
    name: str
    enabled: bool
    revision: int
    document: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A workflow as a file has it, once the platform has checked it: `document` is what would be kept."""

    file: WorkflowFile
    document: dict[str, object]

    @property
    def name(self) -> str:
        return str(self.document["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What to do about one workflow. `save`: its document differs; `switch`: whether it must be enabled or disabled
    (None: neither)."""

    kind: Kind
    name: str
    wanted: Wanted | None = None
    existing: Existing | None = None
    save: bool = False
    switch: bool | None = None
    diff: str = ""


def make_plan(existing: Sequence[Existing], wanted: Sequence[Wanted], *, prune: bool) -> list[Planned]:
    """Files first, in their order; then, where `prune`, what no file names."""
    known = {each.name: each for each in existing}
    plan = [_planned(each, known.pop(each.name, None)) for each in wanted]
    if prune:
        plan += [
            Planned(kind="archive", name=each.name, existing=each, diff=_diff(each, None)) for each in known.values()
        ]
    return plan


def summary(plan: Sequence[Planned]) -> str:
    """`2 created, 1 updated, 5 unchanged, 0 archived`"""
    words = {"create": "created", "update": "updated", "unchanged": "unchanged", "archive": "archived"}
    return ", ".join(f"{sum(each.kind == kind for each in plan)} {word}" for kind, word in words.items())


def _planned(wanted: Wanted, existing: Existing | None) -> Planned:
    if existing is None:
        return Planned(kind="create", name=wanted.name, wanted=wanted, save=True, diff=_diff(None, wanted))
    save = not (
        same(existing.document, wanted.document) or same(short_form(existing.document), short_form(wanted.document))
    )
    switch = wanted.file.enabled if wanted.file.enabled != existing.enabled else None
    if not save and switch is None:
        return Planned(kind="unchanged", name=wanted.name, wanted=wanted, existing=existing)
    return Planned(
        kind="update",
        name=wanted.name,
        wanted=wanted,
        existing=existing,
        save=save,
        switch=switch,
        diff=_diff(existing, wanted),
    )


def _diff(existing: Existing | None, wanted: Wanted | None) -> str:
    """What changes, as files have it."""
    before = file_text(existing.document, enabled=existing.enabled) if existing is not None else ""
    after = file_text(wanted.document, enabled=wanted.file.enabled) if wanted is not None else ""
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"revision {existing.revision}" if existing is not None else "nothing",
            str(wanted.file.path) if wanted is not None else "the archive",
        )
    )
