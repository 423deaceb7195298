"""`upshot templates [KEY]`: the workflow templates of this version, and one of them as YAML that can be saved.

Next: `shared/workflows/templates/`.
"""

import difflib
import textwrap
from collections.abc import Mapping, Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import dump_json
from shared.runtime.http.yaml_text import read_yaml
from shared.runtime.workflow_templates import workflow_templates
from shared.workflows.templates import Parameter, WorkflowTemplate, fill
from shared.workflows.yaml_text import write_yaml

_WIDTH = 120


def list_templates() -> str:
    """One line each: key, name, and what it takes."""
    found = workflow_templates().values()
    width = max(len(each.key) for each in found)
    lines = [
        f"{each.key:<{width}}  {each.name}  ({', '.join(parameter.name for parameter in each.parameters)})"
        for each in found
    ]
    return "\n".join([*lines, "", "upshot templates KEY --set NAME=VALUE prints one, filled.", ""])


def print_template(key: str, given: Sequence[str]) -> str:
    """The document as YAML, what it is for and what it takes above it as comments. Raises InvalidInput."""
    template = workflow_templates().get(key)
    if template is None:
        close = difflib.get_close_matches(key, workflow_templates(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "upshot templates names them all"
        raise InvalidInput("no such template", [Flaw(pointer="KEY", detail=f"{key!r}; {hint}")])
    document = fill(template, _values(template, given))
    told = [template.description, *(_told(each) for each in template.parameters)]
    comments = [line for each in told for line in textwrap.wrap(each, _WIDTH - 2, subsequent_indent="  ")]
    return "".join(f"# {line}\n" for line in comments) + write_yaml(document)


def _values(template: WorkflowTemplate, given: Sequence[str]) -> dict[str, object]:
    """`name=value` pairs; integers and schedules are read as YAML."""
    read = {each.name for each in template.parameters if each.type in ("integer", "schedule")}
    found: dict[str, object] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator:
            raise InvalidInput("no value", [Flaw(pointer="--set", detail=f"{pair!r}: write NAME=VALUE")])
        found[name] = _yaml_or_text(value) if name in read else value
    return found


def _yaml_or_text(value: str) -> object:
    try:
        return read_yaml(value.encode())
    except InvalidInput:
        return value


def _told(parameter: Parameter) -> str:
    return f"--set {parameter.name}=…  {parameter.description} Default: {_shown(parameter.default)}"


def _shown(default: object) -> str:
    return dump_json(default).decode() if isinstance(default, Mapping) else str(default)
