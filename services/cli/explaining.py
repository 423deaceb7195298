"""`upshot explain`: why an event started a workflow or did not, asked of the log and the read model like `upshot trace`.

The answer is the API's own (`services/api/service/explaining.py`); `--json` prints it as the API does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from services.api.api.explain_models import ClauseAnswer, ExplanationAnswer, WorkflowExplanationAnswer
from services.api.api.explained import answer
from services.api.service.explaining import AsOf, Explainer, Question
from services.api.settings import ApiSettings
from services.executor.actions import discover_actions
from services.foundation import installed
from services.matcher.triggers import discover_triggers
from shared.bus.port import Bus
from shared.domain import catalogue
from shared.domain.errors import PermanentError
from shared.domain.json_text import dump_json
from shared.readmodel.connect import API
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.http import HttpProblem
from shared.runtime.settings import UpshotSettings, read_settings_of
from shared.workflows.catalogue import Catalogue
from shared.workflows.explaining.words import value_in_words

_KNOWN_FROM = {
    "match": "which the match recorded",
    "time": "the last before the event, which matched nothing",
    "now": "today's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command was given. `tenant`: None to look for the event among all."""

    event_id: str
    workflow: str | None
    revision: int | None
    replay: str | None
    as_of: AsOf
    tenant: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    bus: Bus
    queries: TenantQueries
    definitions: DefinitionsFollower
    catalogue: Catalogue
    settings: ApiSettings


async def explain(settings: UpshotSettings, asked: Asked, *, in_json: bool) -> None:
    """Print the explanation. Raises `PermanentError` where there is no such event, workflow, revision or replay."""
    async with installed(settings) as ground:
        queries = await TenantQueries.open(ground.role(API))
        definitions = DefinitionsFollower(ground.bus)
        await definitions.start()
        schemas = {each.name: each.schema for each in catalogue.all_types()}
        parts = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas=schemas)
        try:
            found = await _answer(
                _Ground(
                    bus=ground.bus,
                    queries=queries,
                    definitions=definitions,
                    catalogue=parts,
                    settings=read_settings_of(ApiSettings),
                ),
                asked,
            )
        finally:
            await definitions.close()
            await queries.close()
    if in_json:
        print(dump_json(found.model_dump(mode="json")).decode())
        return
    for line in told(found, whole=asked.workflow is None):
        print(line)


async def _answer(it: _Ground, asked: Asked) -> ExplanationAnswer:
    explainer = Explainer(it)
    question = Question(
        event_id=asked.event_id,
        workflow=asked.workflow,
        revision=asked.revision,
        replay_id=asked.replay,
        as_of=asked.as_of,
    )
    tenants = [asked.tenant] if asked.tenant is not None else list(it.definitions.definitions.tenants)
    for tenant_id in tenants:
        if await it.queries.get_event(tenant_id, asked.event_id) is None:
            continue
        try:
            return answer(await explainer.explain(tenant_id, question), cursor=None, limit=asked.limit)
        except HttpProblem as problem:
            raise PermanentError(problem.detail) from None
    raise PermanentError(f"there is no event {asked.event_id!r} (a new one may need a moment to be projected)")


def told(found: ExplanationAnswer, *, whole: bool) -> Iterator[str]:
    """The answer in lines; `whole`: one line a workflow, else all there is of one."""
    event = found.event
    replay = f" (replay {found.replay_id})" if found.replay_id is not None else ""
    yield _plain(f"event {event.id} {event.type}, recorded {event.recorded_at.isoformat()}{replay}")
    version = "no definitions yet" if found.definitions.version is None else f"definitions {found.definitions.version}"
    yield f"as of {found.as_of}: {version}, {_KNOWN_FROM[found.definitions.known_from]}"
    if whole:
        yield _plain(found.sentence)
        for item in found.items:
            yield _plain(f"  {item.share:4.0%}  {item.sentence}")
        more = found.workflows - found.workflows_left_out - len(found.items)
        if more > 0:
            yield f"  and {more} more; --limit shows them"
        if found.workflows_left_out:
            yield f"  {found.workflows_left_out} workflows were not looked at: UPSHOT_API_EXPLAIN_…_MAX bound it"
        return
    for item in found.items:
        yield from map(_plain, _details(item))
    if not found.items:
        yield _plain(found.sentence)


def _details(item: WorkflowExplanationAnswer) -> Iterator[str]:
    yield item.sentence
    yield f"  revision {item.revision}, {item.clauses_held} of {item.clauses_total} clauses hold"
    for trigger in item.triggers:
        yield f"  {trigger.pointer} ({trigger.kind}) {_verdict(trigger.holds)}" + (
            f": {trigger.note}" if trigger.note else ""
        )
        for clause in trigger.clauses:
            yield from _clause(clause)
    if item.condition is not None:
        yield f"  {item.condition.pointer} {_verdict(item.condition.holds)}"
        for conjunct in item.condition.conjuncts:
            yield f"    {_verdict(conjunct.holds)}  {conjunct.text}"
            if conjunct.error is not None:
                yield f"           {conjunct.error}"
            for each in conjunct.values:
                yield f"           {each.path} is {value_in_words(each.value) if each.present else 'absent'}"


def _clause(clause: ClauseAnswer) -> Iterator[str]:
    expected = "" if clause.holds else f", expected {clause.expected_in_words}"
    yield f"    {_verdict(clause.holds)}  {clause.path} {clause.actual_in_words}{expected}  {clause.pointer}"
    for reason in clause.reasons:
        yield f"           {reason}"


def _verdict(holds: bool) -> str:
    return "holds" if holds else "FAILS"


def _plain(text: str) -> str:
    """What tenants and vendors wrote must not steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
