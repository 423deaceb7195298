"""Optimistic concurrency: `If-Match` says which revision a change builds on."""

from services.api.core.commands import etag, parse_if_match
from services.api.service.ports import ApiDependencies
from services.api.service.workflows import newest_revision
from shared.domain.verdicts import Verdict
from shared.runtime.http import Call, Header, HttpProblem

IF_MATCH = Header(name="If-Match", description='The revision that you read, as its ETag says: `"3"`.', required=True)
IF_MATCH_OPTIONAL = Header(name="If-Match", description='Only if this revision, `"3"`, is still the newest.')
STALE = "Somebody has saved since: `revision` says what is newest now."
WITH_ETAG = {"ETag": "the revision"}


def required_if_match(call: Call) -> str:
    """The header's text. Raises HttpProblem 428 where it is missing, InvalidInput where it is none."""
    if_match = call.header(IF_MATCH.name)
    if if_match is None:
        detail = (
            f'say which revision you read: If-Match: "<revision>", as GET /api/v1/workflows/{call.path("id")} tells'
        )
        raise HttpProblem(428, "precondition-required", detail)
    parse_if_match(if_match)
    return if_match


async def base_of(it: ApiDependencies, call: Call, if_match: str) -> int:
    """The revision that is meant: `*` is the newest. Raises HttpProblem 404."""
    base = parse_if_match(if_match)
    return base if base is not None else await newest_revision(it, call.tenant_id, call.path("id"))


def etag_of(verdict: Verdict | None) -> dict[str, str]:
    """The header that names the revision which a command made."""
    revision = verdict.body.get("revision") if verdict is not None else None
    return {"ETag": etag(revision)} if isinstance(revision, int) else {}
