"""The document that a person writes (YAML or JSON), as pydantic reads it and as its published JSON Schema says.

Only the shape is held here; `check.py` holds what needs the catalogue. Field names are the user's words and stay.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.workflow import DEPTH_MAX

STEPS_MAX = 100
TRIGGERS_MAX = 20
SHARED_MAX = 10
"""Tags whose common count one run is held against: each costs a look and a row."""
MEMBERS_MAX = 20_000
"""Members and items of a document, without those of patterns and of steps' `with`. No valid one has nearly as many; to tell each
of half a million flaws takes seconds."""
SECONDS_PER_YEAR = 366 * 24 * 3600

Place = tuple[str | int, ...]
"""Where in a document: the parts of a pointer."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
StepId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Approval(_Part):
    """Who must agree before a run starts. Expiry never approves."""

    when: Literal["always", "never", "auto"] = Field("auto", description="auto: where a step is of high risk")
    roles: tuple[Name, ...] = Field(("approve",), min_length=1, max_length=20)
    quorum: int = Field(1, ge=1, le=20, description="how many different people must grant it")
    expires_in_seconds: int = Field(86_400, ge=1, le=SECONDS_PER_YEAR)
    on_expiry: Literal["deny"] = "deny"
    self_approval: bool = Field(False, description="whether the author's own grant counts")


class Cooldown(_Part):
    """At most one run per key in this time."""

    seconds: int = Field(ge=1, le=SECONDS_PER_YEAR)
    key: str = Field("", max_length=1000, description="a template; empty: one cooldown for all runs")


class SharedLimits(_Part):
    """Bounds held against the common count of a tag: every run of every workflow that names the tag here counts."""

    tag: str = Field(min_length=1, max_length=64, description="one of the workflow's own tags")
    max_runs_per_day: int | None = Field(None, ge=1)
    cooldown: Cooldown | None = None
    max_concurrent: int | None = Field(None, ge=1, le=10_000)


class Limits(_Part):
    """Bounds on how often and how deep a workflow runs."""

    max_runs_per_day: int | None = Field(None, ge=1)
    cooldown: Cooldown | None = None
    max_concurrent: int | None = Field(None, ge=1, le=10_000)
    max_queued: int = Field(1000, ge=0, le=100_000)
    max_depth: int = Field(3, ge=1, le=DEPTH_MAX)
    reentrant: bool = Field(False, description="whether it may stand twice in one causal chain")
    shared: tuple[SharedLimits, ...] = Field(
        (), max_length=SHARED_MAX, description="bounds that the workflows of a tag reach together"
    )


class Retry(_Part):
    """When a failed attempt is repeated. Every delay gets a jitter of ±20 %."""

    max_attempts: int = Field(5, ge=1, le=50)
    backoff: Literal["exponential", "fixed"] = "exponential"
    initial_seconds: float = Field(5.0, ge=0, le=86_400)
    max_seconds: float = Field(36_000.0, ge=0, le=SECONDS_PER_YEAR)


class Guards(_Part):
    """What a step must not go without. No action of this version takes secrets or providers, so both stay empty."""

    required_secrets: tuple[str, ...] = ()
    allowed_providers: tuple[str, ...] = ()

    @field_validator("required_secrets", "allowed_providers")
    @classmethod
    def _nothing_to_guard(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names:
            raise ValueError("no action of this version uses secrets or providers; leave the list empty")
        return names


class Step(_Part):
    """One thing to do."""

    id: StepId
    uses: Name = Field(description="an action type")
    with_: dict[str, object] = Field(default_factory=dict, alias="with", description="the action's settings, templates")
    needs: tuple[StepId, ...] | None = Field(None, max_length=STEPS_MAX, description="default: the step above")
    if_: str | None = Field(None, alias="if", min_length=1, max_length=4000, description="CEL; false skips the step")
    retry: Retry | None = None
    timeout_seconds: float | None = Field(None, gt=0, le=3600)
    guards: Guards = Guards()
    on_error: Literal["fail", "continue"] = "fail"
    on_unknown: Literal["ask", "fail", "retry"] = "ask"


_ANY = "any"
_NOT_ANY = {"not": {"required": [_ANY]}}
"""So that a document is of one form in the published schema, too."""

TriggerDocument = Annotated[dict[str, object], Field(min_length=1)]
TriggerList = Annotated[tuple[TriggerDocument, ...], Field(min_length=1, max_length=TRIGGERS_MAX)]


class AnyTrigger(_Part):
    """The list under its name; kept so, for a document is kept as it was written."""

    any_: TriggerList = Field(alias=_ANY, description="any of these starts a run")


def _form(value: object) -> str:
    if isinstance(value, AnyTrigger) or (isinstance(value, Mapping) and _ANY in value):
        return "named"
    return "list" if isinstance(value, list | tuple) else "one"


TriggerDocuments = Annotated[
    Annotated[TriggerDocument, Field(json_schema_extra=_NOT_ANY), Tag("one")]
    | Annotated[TriggerList, Tag("list")]
    | Annotated[AnyTrigger, Tag("named")],
    Discriminator(_form),
]
"""One trigger, or a list of which any starts it, bare or as `any`; each flaw is then told of the one that was meant."""


class WorkflowDocument(_Part):
    """A workflow: why it may start, on what condition, under which limits, and what it then does."""

    name: Name
    description: str = Field("", max_length=4000)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=50)
    timezone: str = Field("UTC", max_length=64, description="IANA zone of limits per day")
    priority: int = Field(50, ge=0, le=1000, description="lower is admitted first among the matches of one event")
    stop_on_match: bool = False
    trigger: TriggerDocuments
    if_: str | None = Field(
        None, alias="if", min_length=1, max_length=4000, description="CEL, after the trigger; not asked of manual runs"
    )
    approval: Approval = Approval()
    limits: Limits = Limits()
    steps: tuple[Step, ...] = Field(min_length=1, max_length=STEPS_MAX)

    @property
    def placed_triggers(self) -> tuple[tuple[Place, Mapping[str, object]], ...]:
        """One or several, any of which may start it, each with its place in the document."""
        written = {_ANY: self.trigger.any_} if isinstance(self.trigger, AnyTrigger) else self.trigger
        return tuple(written_triggers({"trigger": written}))

    @property
    def triggers(self) -> tuple[Mapping[str, object], ...]:
        """The same without their places."""
        return tuple(trigger for _, trigger in self.placed_triggers)

    def needs_of(self, index: int) -> tuple[str, ...]:
        """What the step at `index` waits for: what it says, else the step above."""
        said = self.steps[index].needs
        if said is not None:
            return said
        return (self.steps[index - 1].id,) if index else ()


def written_triggers(document: Mapping[str, object]) -> list[tuple[Place, Mapping[str, object]]]:
    """The triggers of a document as it was written, each with its place; what is no trigger is left out."""
    place: Place = ("trigger",)
    said = document.get("trigger")
    if isinstance(said, Mapping) and _ANY in said:
        place, said = (*place, _ANY), said[_ANY]
    if isinstance(said, list | tuple):
        return [((*place, index), each) for index, each in enumerate(said) if isinstance(each, Mapping)]
    return [(place, said)] if isinstance(said, Mapping) else []


def parse_document(value: object) -> WorkflowDocument:
    """The document in `value` (parsed JSON or YAML). Raises `InvalidInput` naming every flaw by its pointer."""
    if not isinstance(value, Mapping):
        raise InvalidInput(
            "not a workflow", [Flaw(pointer="#", detail="a workflow is an object with name, trigger, steps")]
        )
    if _members(value) > MEMBERS_MAX:
        detail = f"more than {MEMBERS_MAX} members and items, beside those of patterns and of steps' `with`"
        raise InvalidInput("this is no valid workflow", [Flaw(pointer="#", detail=detail)])
    try:
        return WorkflowDocument.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list whose items are wrong counts as too short as well: only what is wrong with the items helps.
        parents = {each["loc"][:length] for each in found for length in range(len(each["loc"]))}
        flaws = [
            _flaw(each["loc"], each["msg"], each["type"])
            for each in found
            if each["type"] != "too_short" or each["loc"] not in parents
        ]
        raise InvalidInput("this is no valid workflow", _distinct(flaws)) from None


def _members(value: object) -> int:
    if isinstance(value, Mapping):
        return len(value) + sum(_members(each) for name, each in value.items() if name not in ("with", "pattern"))
    return len(value) + sum(map(_members, value)) if isinstance(value, list | tuple) else 0


def pointer_to(*parts: str | int) -> str:
    """An RFC 6901 pointer as a URI fragment: `#/steps/0/with`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


_MEND = {
    "extra_forbidden": "there is no such field here; remove it or mend its spelling",
    "missing": "this field is needed",
    "dict_type": "this should be an object",
    "model_type": "this should be an object",
    "tuple_type": "this should be a list",
}


_ANY_ALONE = "`any` stands alone; put this into its list"


def _flaw(location: Sequence[str | int], message: str, kind: str) -> Flaw:
    # pydantic puts the chosen branch of a union into the location; no such member exists in the user's document.
    parts = [*location[:1], *location[2:]] if location[0] == "trigger" and len(location) > 1 else location
    known = _ANY_ALONE if location[0] == "trigger" and kind == "extra_forbidden" else _MEND.get(kind)
    detail = known or message.removeprefix("Value error, ")
    for theirs in ("Input", "Tuple", "Dictionary", "String", "List"):
        detail = detail.replace(f"{theirs} should", "this should")
    return Flaw(pointer=pointer_to(*parts), detail=detail)


def _distinct(flaws: Sequence[Flaw]) -> list[Flaw]:
    return list(dict.fromkeys(flaws))
