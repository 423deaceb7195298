"""What a workflow may be made of. The plug-ins are the services' own; whoever checks a document is handed them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import Flaw
from shared.domain.workflow import Effect


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

    def pattern(self, value: object) -> Mapping[str, object] | None:
        """The event pattern that says the same over an event's CloudEvents view; None: no event ever starts it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Every action type and trigger kind there is, by name."""

    actions: Mapping[str, ActionType]
    triggers: Mapping[str, TriggerKind]
    event_schemas: Mapping[str, Mapping[str, object]]
    """JSON Schema of `data` per platform event type."""
