"""What a workflow may be made of. The plug-ins are the services' own; whoever checks a document is handed them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import Flaw
from shared.domain.workflow import Effect
from shared.workflows.triggers import Start


class ActionType(Protocol):
    """One type of action, as far as saving a workflow needs to know it."""

    @property
    def type(self) -> str:
        """Its name in a step's `uses`."""
        ...

    def effect(self, config: Mapping[str, object]) -> Effect:
        """What repeating a step with this `with` does."""
        ...

    def flaws(self, config: Mapping[str, object]) -> Sequence[Flaw]:
        """What is wrong with a step's `with`, pointers relative to it. Template strings pass as any type."""
        ...

    def high_risk(self, config: Mapping[str, object]) -> bool:
        """Whether `approval: {when: auto}` holds a run with this step."""
        ...

    def endpoint_references(self, config: Mapping[str, object]) -> Sequence[str]:
        """Names or ids of the endpoints that the step calls, where they are no templates."""
        ...

    def schema(self) -> Mapping[str, object]:
        """JSON Schema of `with`."""
        ...


class TriggerKind(Protocol):
    """One kind of trigger: a key of a workflow's `trigger`."""

    @property
    def key(self) -> str:
        """The key that holds its settings."""
        ...

    def flaws(self, value: object) -> Sequence[Flaw]:
        """What is wrong with its settings, pointers relative to them."""
        ...

    def start(self, value: object, *, zone: str) -> Start:
        """What it waits for. `zone`: the workflow's IANA time zone. Raises `InvalidInput` where there are flaws."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Every action type and trigger kind there is, by name."""

    actions: Mapping[str, ActionType]
    triggers: Mapping[str, TriggerKind]
    event_schemas: Mapping[str, Mapping[str, object]]
    """JSON Schema of `data` per platform event type."""
