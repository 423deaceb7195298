"""What the routes of workflow templates take and give. Next: `templates.py`."""

from typing import Literal

from pydantic import Field

from services.api.api.models import Incoming, JsonObject, Outgoing
from shared.workflows.templates import ParameterType

VALUES_CHARACTERS_MAX = 4000


class TemplateSummary(Outgoing):
    """One template in the list."""

    key: str
    name: str
    description: str
    tags: list[str]
    triggers: list[str] = Field(description="The kinds of trigger that its document has.")


class TemplateList(Outgoing):
    items: list[TemplateSummary]
    next_cursor: str | None


class TemplateParameter(Outgoing):
    """What can be named."""

    name: str
    type: ParameterType = Field(
        description="endpoint: an endpoint's name; schedule: the value of a trigger's `schedule`."
    )
    description: str
    default: str | int | JsonObject
    minimum: int | None = Field(description="Of an integer.")
    maximum: int | None = Field(description="Of an integer.")


class TemplateExpected(Outgoing):
    run: Literal["succeeded", "failed", "skipped", "pending_approval"] | None = Field(
        description="What the run comes to; null: nothing starts."
    )
    tells: list[str] = Field(
        description="The parameters whose endpoint or URL is called; where a run waits, afterwards."
    )
    emits: list[str] = Field(description="Types of the events that it publishes.")


class TemplateExample(Outgoing):
    """Events, one after the other, or the inputs of a run that a person asks for, or a firing; and what follows."""

    title: str
    events: list[JsonObject]
    inputs: JsonObject | None
    fires: bool = Field(description="Whether it is about a firing of the schedule.")
    expect: TemplateExpected


class TemplateAnswer(TemplateSummary):
    """A template with its document, which can be saved as it is."""

    parameters: list[TemplateParameter]
    document: JsonObject
    trial: JsonObject = Field(description="Values under which the examples hold and play out within seconds.")
    examples: list[TemplateExample]


class TemplateQuery(Incoming):
    values: str | None = Field(
        None,
        max_length=VALUES_CHARACTERS_MAX,
        description='Values of parameters as a JSON object, `{"finance": "books"}`; the others have their defaults.',
    )
