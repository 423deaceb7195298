"""Action types, one file each: a module here that exports `ACTION` is found and offered. This docstring is the port's spec.

An action has three moments. On saving a workflow it judges a step's settings (`flaws`, `high_risk`, `effect`,
`endpoint_references`: see `shared/workflows/catalogue.py`). When a step's turn has come, `prepare` turns the rendered settings
into the request that is then frozen in the log, secrets as references: it does no I/O and gives the same request for the
same run. `perform` carries out a frozen request; it may be called again with the same request and the same key after a crash
or a failure, and tells by its `Outcome` what the attempt came to. Trouble outside is an outcome; only a bug is an exception.
An action that adds to the frozen request on its way out also says what then leaves (`ShowsRequest`), for whoever tries a
workflow.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError

from services.executor.core.outcome import Outcome
from shared.domain.clock import Clock
from shared.domain.definitions import Tenant
from shared.domain.envelope import Event
from shared.domain.errors import Flaw
from shared.domain.records import Problem
from shared.domain.retry import RetryPolicy
from shared.domain.runs.state import Run
from shared.expressions import is_template as is_template_text
from shared.runtime.egress import OutgoingClient
from shared.workflows.catalogue import ActionType
from shared.workflows.document import pointer_to
from shared.workflows.plugins import discover


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Scene:
    """Which step of which run, for whom, and by which key its effect is named."""

    tenant: Tenant
    run: Run
    step_id: str
    delivery_id: str
    """Equal over all attempts: the idempotency key of the effect."""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Prepared:
    """What stands in `attempt.started`. `due_at`: nothing is carried out before this instant."""

    request: dict[str, object]
    due_at: datetime | None = None


OF_DEFINITIONS = frozenset({"endpoint_unknown", "endpoint_disabled"})
"""Kinds of refusals that a definition decided, which may have been changed since this process read it last."""


class Refused(Exception):
    """The step cannot be tried at all, now or later."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(kind=kind, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What actions work with."""

    outgoing: OutgoingClient
    unseal: Callable[[str, str], Awaitable[str]]
    """(tenant id, sealed secret) -> the secret."""
    publish: Callable[[Event], Awaitable[None]]
    """Append a platform event, durably."""
    clock: Clock
    response_bytes_max: int
    secrets_kept_max: int = 10_000
    """Endpoint secrets kept parsed."""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Attempt:
    """One try of a frozen request."""

    scene: Scene
    number: int
    attempt_id: str
    request: Mapping[str, object] = field(repr=False)
    timeout_seconds: float


class Action(ActionType, Protocol):
    """See the module's docstring."""

    @property
    def policy(self) -> RetryPolicy:
        """When a failed attempt is repeated, where the step does not say."""
        ...

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        """Raises `Refused`."""
        ...

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        """Carry it out once."""
        ...


@runtime_checkable
class ShowsRequest(Protocol):
    """An action whose frozen request is not yet all that leaves."""

    def shown(self, request: Mapping[str, object], scene: Scene) -> Mapping[str, object]:
        """What a receiver would get, with words in the place of what only an attempt knows: times, signatures, secrets."""
        ...


class Config(BaseModel):
    """A step's `with`. Any string may be a template, so a field of another type also takes one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def is_template(value: object) -> bool:
    return isinstance(value, str) and is_template_text(value)


def config_flaws(model: type[Config], config: Mapping[str, object]) -> Sequence[Flaw]:
    """What the model finds, leaving out values that are templates: those are judged when they have been rendered."""
    try:
        model.model_validate(config)
    except ValidationError as error:
        return [
            Flaw(pointer=pointer_to(*each["loc"]), detail=_mend(each["type"], each["msg"]))
            for each in error.errors(include_url=False)
            if not is_template(each["input"])
        ]
    return []


ConfigType = TypeVar("ConfigType", bound=Config)


def validated(model: type[ConfigType], config: Mapping[str, object]) -> ConfigType:
    """The rendered settings. Raises `Refused` where a rendered value does not fit."""
    try:
        return model.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = pointer_to("with", *first["loc"])
        raise Refused("config", f"{where}: {first['msg']}") from None


def discover_actions() -> Mapping[str, Action]:
    """Every action type by its name."""
    found = [cast("Action", each) for each in discover(sys.modules[__name__], "ACTION")]  # modules are untyped
    return {action.type: action for action in found}


def _mend(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "this action has no such setting; remove it or mend its spelling"
    if kind == "missing":
        return "this setting is needed"
    return message.removeprefix("Value error, ")
