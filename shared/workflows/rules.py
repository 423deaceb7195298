"""A tenant's workflows made ready for matching, kept up to date workflow by workflow as definitions change.

An event costs what the workflows that it may start cost, not what the tenant's other workflows would.
"""

from collections.abc import Mapping

from shared.domain.definitions import Workflow
from shared.domain.errors import InvalidInput
from shared.matching import EventFields, PatternIndex
from shared.workflows.catalogue import Catalogue
from shared.workflows.compiled import CompiledStart, CompiledStep, compile_start, compile_steps


class TenantRules:
    """The newest revision of every enabled workflow that an event can start."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._starts: dict[str, CompiledStart] = {}
        self._index: PatternIndex[str] = PatternIndex()
        self._steps: dict[tuple[str, int], Mapping[str, CompiledStep]] = {}
        self.broken: dict[str, str] = {}
        """Workflows whose revision no longer compiles, and why."""

    def put(self, workflow: Workflow) -> None:
        """Take over a workflow as it stands now."""
        self._starts.pop(workflow.id, None)
        self._index.remove(workflow.id)
        self.broken.pop(workflow.id, None)
        if not workflow.enabled:
            return
        try:
            start = compile_start(workflow, workflow.newest, self._catalogue)
        except InvalidInput as error:
            self.broken[workflow.id] = str(error)
            return
        if start.patterns:
            self._starts[workflow.id] = start
            self._index.add(workflow.id, *start.patterns)

    def candidates(self, fields: EventFields) -> list[CompiledStart]:
        """The workflows one of whose patterns matches, by priority, then by id: the same order for whoever asks."""
        found = [self._starts[workflow_id] for workflow_id in self._index.candidates(fields)]
        return sorted(found, key=lambda start: (start.priority, start.workflow.id))

    def steps_of(self, start: CompiledStart) -> Mapping[str, CompiledStep]:
        """The revision's steps: asked for only where an approval has to show them."""
        key = (start.workflow.id, start.revision.number)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = compile_steps(start.revision)
        return found
