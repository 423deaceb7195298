"""Workflow templates: workflows that others can have by naming their endpoints. One YAML file each, `<key>.yaml`, here.

A file says what it is for, which parameters it takes, the document, and events with what follows from them; a test holds
every file to that on a real platform. `${name}` in the document stands for a parameter.
`template.py` is the value and how it is filled, `read.py` the file's shape; `shared/runtime/workflow_templates.py` reads the
files.
"""

from shared.workflows.templates.read import read_template
from shared.workflows.templates.template import Example, Expected, Parameter, ParameterType, WorkflowTemplate, fill

__all__ = ["Example", "Expected", "Parameter", "ParameterType", "WorkflowTemplate", "fill", "read_template"]
