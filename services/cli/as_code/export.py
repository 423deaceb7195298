"""`upshot export`: a file for every workflow in use.

Guarantee: a file that means the same already is not touched, whatever its name; no file of something else is written over.
"""

import os
from pathlib import Path

from services.cli.as_code.api import TenantApi
from services.cli.as_code.files import (
    UnreadableFile,
    WorkflowFile,
    file_of,
    find_files,
    free_slug,
    parse_file,
    read_file,
)
from services.cli.as_code.plan import Existing
from shared.domain.errors import PermanentError
from shared.workflows.changes import same
from shared.workflows.short_form import short_form


async def existing_workflows(api: TenantApi) -> list[Existing]:
    """Those in use, by name."""
    return [
        Existing(
            id=each["id"],
            name=each["name"],
            enabled=each["enabled"],
            revision=each["revision"],
            document=each["document"],
        )
        for each in await api.items("/api/v1/workflows")
    ]


async def export_workflows(api: TenantApi, folder: Path) -> list[str]:
    """Write the files; what to say of it, a line each. Raises PermanentError where the folder cannot be written."""
    existing = await existing_workflows(api)
    try:
        return _write_all(existing, folder)
    except OSError as error:
        raise PermanentError(f"{folder} cannot be written: {error.strerror}") from None


def _write_all(existing: list[Existing], folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = find_files(folder)
    present = _by_name(paths)
    taken = {path.stem for path in paths}
    told, written = [], 0
    for each in existing:
        file = present.get(each.name)
        if file is not None and means(file, each):
            continue
        stem = file.path.with_suffix("") if file is not None else _free_stem(folder, each.name, taken)
        path, body = file_of(stem, each.document, enabled=each.enabled)
        if path.exists() and (file is None or path != file.path):  # another workflow's, which ends otherwise
            path, body = file_of(_free_stem(folder, each.name, taken), each.document, enabled=each.enabled)
        _replace(path, body)
        if file is not None and file.path != path:
            file.path.unlink()
        told.append(f"written    {path}")
        written += 1
    gone = sorted(str(file.path) for name, file in present.items() if name not in {each.name for each in existing})
    told += [f"no longer  {path}: the platform has no such workflow in use" for path in gone]
    return [*told, f"{written} written, {len(existing) - written} unchanged"]


def means(file: WorkflowFile, workflow: Existing) -> bool:
    """Whether the file says what the platform has."""
    return file.enabled == workflow.enabled and same(short_form(file.document), short_form(workflow.document))


def _free_stem(folder: Path, name: str, taken: set[str]) -> Path:
    """A path without a suffix that no file has, and none will be given again."""
    stem = free_slug(name, taken)
    taken.add(stem)
    return folder / stem


def _by_name(paths: list[Path]) -> dict[str, WorkflowFile]:
    """The files that are there, by the workflow that they name; one that cannot be read is left alone."""
    found: dict[str, WorkflowFile] = {}
    for path in paths:
        try:
            file = read_file(path)
        except UnreadableFile:
            continue
        if file.name:
            found.setdefault(file.name, file)
    return found


def _replace(path: Path, body: bytes) -> None:
    """Whole or not at all. What is written is read once before: a file that does not come back is a bug of ours."""
    parse_file(path, body)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(body)
    draft.replace(path)
