"""The workflow templates that come with this version, read from the package once.

Next: `shared/workflows/templates/`, the files and what they mean.
"""

import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from shared.runtime.http.yaml_text import read_yaml
from shared.workflows import templates
from shared.workflows.templates import WorkflowTemplate, read_template

_SUFFIX = ".yaml"


@functools.cache
def workflow_templates() -> Mapping[str, WorkflowTemplate]:
    """Every template by its key, in the order of the keys."""
    files = [each for each in resources.files(templates).iterdir() if each.name.endswith(_SUFFIX)]
    found = {}
    for file in sorted(files, key=lambda each: each.name):
        key = file.name.removesuffix(_SUFFIX)
        found[key] = read_template(key, read_yaml(file.read_bytes()))
    return MappingProxyType(found)
