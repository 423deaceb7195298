"""What a workflow names of its tenant beside endpoints, judged when it is saved. Pure."""

from collections.abc import Collection, Mapping

from shared.domain.errors import Flaw
from shared.workflows.document import WorkflowDocument, pointer_to

DELIVERED = "/upshot/sources/"
"""How the CloudEvents source of a delivery begins; the source's id follows. No upstream service may use it."""


def unknown_sources(document: WorkflowDocument, source_ids: Collection[str]) -> list[Flaw]:
    """Patterns on `source` that name a source which is not there, and so could never match."""
    flaws = []
    for base, trigger in document.placed_triggers:
        pattern = trigger.get("pattern")
        wanted = pattern.get("source") if isinstance(pattern, Mapping) else None
        for position, each in enumerate(wanted if isinstance(wanted, list | tuple) else ()):
            if not (isinstance(each, str) and each.startswith(DELIVERED)):
                continue
            source_id = each.removeprefix(DELIVERED)
            if source_id not in source_ids:
                detail = f"there is no source {source_id[:100]!r}; GET /api/v1/sources names the ones there are"
                flaws.append(Flaw(pointer=pointer_to(*base, "pattern", "source", position), detail=detail))
    return flaws
