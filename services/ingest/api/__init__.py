"""The routes of ingest: `/hooks/{source_id}` for vendors, `/events` for upstream services, and what of it was refused.

`answering.py` is what they have in common.
"""

from collections.abc import Sequence

from services.ingest.api import deliveries, events, rejections
from services.ingest.api.answering import IngestDependencies
from shared.runtime.http import Route

__all__ = ["IngestDependencies", "routes"]


def routes(it: IngestDependencies) -> Sequence[Route]:
    """Ingest's part of the route table."""
    return [*deliveries.routes(it), *events.routes(it), *rejections.routes(it)]
