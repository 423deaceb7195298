"""Which runs wait for a person, until when. Pure."""

from datetime import datetime

from shared.domain.ids import derive
from shared.domain.runs.state import Run


def deadline(run: Run) -> datetime | None:
    """When the run's approval expires, or None: it waits for none."""
    if run.status != "pending_approval" or run.approval is None or run.approval.status != "pending":
        return None
    return run.approval.expires_at


def expiry_id(run_id: str) -> str:
    """The id of the record that says so: derived, so that two services say it once."""
    return derive("approval-expired", run_id)
