"""What the routes of ingest answer alike, and what they need."""

import math
from dataclasses import dataclass

from services.ingest.service.answering import Answering
from services.ingest.service.deliveries import Deliveries, TooMuch
from services.ingest.service.published import Published
from services.ingest.service.rejections import Rejections
from services.ingest.settings import IngestSettings
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.http import HttpProblem
from shared.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestDependencies:
    deliveries: Deliveries
    published: Published
    answering: Answering
    rejections: Rejections
    definitions: DefinitionsFollower
    settings: IngestSettings
    metrics: Metrics


def unknown_source(source_id: str) -> HttpProblem:
    return HttpProblem(
        404,
        "unknown-source",
        f"there is no source or hook {source_id!r}; look at the hook_url (of a workflow: its hooks' url) that was given to you",
    )


def too_much(trouble: TooMuch) -> HttpProblem:
    seconds = max(1, math.ceil(trouble.retry_after_seconds))
    return HttpProblem(429, "too-many-events", str(trouble), headers={"Retry-After": str(seconds)})
