"""Why a workflow that an event concerns is left out: the reasons' names, as records hold them, and what they say to people."""

from collections.abc import Mapping
from typing import Final

BUDGET: Final = "budget"
MATCHES_MAX: Final = "matches_max"
RECORD_BYTES_MAX: Final = "record_bytes_max"
WINDOWS_MAX: Final = "windows_max"
APPROVAL_SUBJECT_MAX: Final = "approval_subject_max"

WHY: Final[Mapping[str, str]] = {
    BUDGET: "what one event may cost was used up, by patterns that look into its arrays or by conditions and keys",
    MATCHES_MAX: "the event had started as many workflows as one event may",
    RECORD_BYTES_MAX: "the record of what the event leads to had no room left for it",
    WINDOWS_MAX: "its key has no window yet, and the tenant has as many counts and waits open as it may",
    APPROVAL_SUBJECT_MAX: "its steps, filled in, are more than an approval can show, so that nobody could approve them",
}
