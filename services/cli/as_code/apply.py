"""`upshot apply`: the platform's workflows made to agree with files.

Guarantee: nothing is changed while any file has a flaw; nobody's edit is overwritten: a workflow that was saved after it was
read here is a conflict, told and left as it is.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.cli.as_code.api import Answer, TenantApi
from services.cli.as_code.export import existing_workflows
from services.cli.as_code.files import UnreadableFile, WorkflowFile, find_files, read_file
from services.cli.as_code.plan import Planned, Wanted, make_plan, summary
from shared.domain.errors import Flaw, InvalidInput

CHECKS_AT_ONCE = 8
DIFFERENT = 2
"""Exit status of a dry run that found something to do."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """`may_archive`: asked with the number of workflows, before anything is changed."""

    dry_run: bool = False
    prune: bool = False
    may_archive: Callable[[int], bool] = field(default=lambda _: False)


async def apply_files(
    api: TenantApi, root: Path, options: ApplyOptions, say: Say = print, warn: Say | None = None
) -> int:
    """The exit status: 0 done (or nothing to do), 1 a flaw or a conflict, 2 a dry run that found differences."""
    warn = warn or (lambda line: print(line, file=sys.stderr))
    files, flaws = _read_all(root, whole=options.prune)
    wanted, refused = await _check_all(api, files)
    flaws += refused
    if flaws:
        for each in flaws:
            warn(each)
        warn(f"nothing was changed: {len(flaws)} flaw{'s' if len(flaws) > 1 else ''}")
        return 1
    plan = make_plan(await existing_workflows(api), wanted, prune=options.prune)
    _tell(plan, say)
    if options.dry_run:
        say(f"{summary(plan)} (dry run: nothing was changed)")
        return DIFFERENT if any(each.kind != "unchanged" for each in plan) else 0
    archived = sum(each.kind == "archive" for each in plan)
    if archived and not options.may_archive(archived):
        warn(f"nothing was changed: {archived} would be archived; say --yes if they are to be")
        return 1
    return await _carry_out(api, plan, say, warn)


def _read_all(root: Path, *, whole: bool) -> tuple[list[WorkflowFile], list[str]]:
    """The files, and what is wrong with them before anybody has looked into their documents. `whole`: they are to be all
    there are."""
    if whole and root.is_file():
        raise InvalidInput("--prune needs a folder", [Flaw(pointer="-f", detail="a file alone says nothing of others")])
    paths = find_files(root)
    if not paths:
        raise InvalidInput(f"there is no workflow file in {root}; they end with .yaml, .yml or .json")
    files: list[WorkflowFile] = []
    flaws: list[str] = []
    named: dict[str, Path] = {}
    for path in paths:
        try:
            file = read_file(path)
        except UnreadableFile as trouble:
            flaws += trouble.told
            continue
        files.append(file)
        if file.name and file.name in named:
            detail = f"{named[file.name]} names its workflow {file.name!r} as well; names tell workflows apart"
            flaws.append(file.told(Flaw(pointer="#/name", detail=detail)))
        named.setdefault(file.name, path)
    return files, flaws


async def _check_all(api: TenantApi, files: Sequence[WorkflowFile]) -> tuple[list[Wanted], list[str]]:
    """What the platform would keep of each, and every flaw that it finds."""
    places = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def check(file: WorkflowFile) -> Answer:
        async with places:
            return await api.check("/api/v1/workflows/check", file.document)

    wanted, flaws = [], []
    for file, answer in zip(files, await asyncio.gather(*map(check, files)), strict=True):
        if answer.status == 200:
            wanted.append(Wanted(file=file, document=answer.body["document"]))
        else:
            flaws += [file.told(flaw) for flaw in answer.flaws]
    return wanted, flaws


def _tell(plan: Sequence[Planned], say: Say) -> None:
    for each in plan:
        if each.kind != "unchanged":
            say(f"{each.kind:<8} {each.name}")
            say(each.diff.rstrip("\n"))


async def _carry_out(api: TenantApi, plan: Sequence[Planned], say: Say, warn: Say) -> int:
    done: list[Planned] = []
    left = 0
    refused: list[tuple[Planned, Answer]] = []
    for each in plan:
        refusal = await _change(api, each, say)
        if refusal is None:
            done.append(each)
        else:
            refused.append((each, refusal))
    for each, first in refused:
        refusal = first
        if first.is_for_room and any(_makes_room(one) for one in done):
            # What was archived or disabled since may have been what stood in its way.
            again = await _change(api, each, say)
            if again is None:
                done.append(each)
                continue
            refusal = again
        left += 1
        word = "conflict" if refusal.is_conflict else "refused"
        place = f"{each.wanted.file.path}: " if each.wanted is not None else ""
        warn(f"{word}: {place}{each.name}: {refusal.detail}")
    say(summary(done) + (f", {left} left as they are" if left else ""))
    return 1 if left else 0


def _makes_room(planned: Planned) -> bool:
    """Under a plan that bounds how many workflows are enabled."""
    return (
        planned.existing is not None
        and planned.existing.enabled
        and (planned.kind == "archive" or planned.switch is False)
    )


async def _change(api: TenantApi, planned: Planned, say: Say) -> Answer | None:
    """None: it is so. Else why not: somebody has changed it since it was read."""
    if planned.kind == "create" and planned.wanted is not None:
        enabled = "true" if planned.wanted.file.enabled else "false"
        path = f"/api/v1/workflows?enabled={enabled}"
        created = await api.command("POST", path, planned.wanted.document)
        _tell_hooks(planned.name, created, say)
        return _refusal(created)
    if planned.existing is None:
        return None
    path, revision = f"/api/v1/workflows/{planned.existing.id}", planned.existing.revision
    if planned.kind == "archive":
        return _refusal(await api.command("POST", f"{path}/archive", if_match=revision))
    if planned.save and planned.wanted is not None:
        saved = await api.command("PUT", path, planned.wanted.document, if_match=revision)
        if (refusal := _refusal(saved)) is not None:
            return refusal
        _tell_hooks(planned.name, saved, say)
    if planned.switch is not None:
        return _refusal(await api.command("POST", f"{path}/{'enable' if planned.switch else 'disable'}"))
    return None


def _tell_hooks(name: str, answer: Answer, say: Say) -> None:
    """Where to get the secrets that were made just now. They are not printed: this is what pipelines keep the output of."""
    found = answer.body.get("hooks") if isinstance(answer.body, dict) else None
    for hook in found if isinstance(found, list) else ():
        if hook.get("secret"):
            url = str(hook["url"]).replace(hook["secret"], "{secret}")
            rotate = f"POST /api/v1/workflows/{answer.body['id']}/hooks/{hook['id']}/rotate"
            say(f"hook     {name}: {url}\n         for its secret: {rotate}")


def _refusal(answer: Answer) -> Answer | None:
    return answer if answer.status >= 400 else None
