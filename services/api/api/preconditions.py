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


def if_match_of(call: Call) -> str | None:
    """The header's text, of all its lines. Raises InvalidInput where it cannot be used."""
    lines = call.request.headers.getall(IF_MATCH.name, [])
    if not lines:
        return None
    if_match = ", ".join(lines)
    parse_if_match(if_match)
    return if_match


def required_if_match(call: Call) -> str:
    """The same. Raises HttpProblem 428 where it is missing."""
    if_match = if_match_of(call)
    if if_match is None:
        detail = (
            f'say which revision you read: If-Match: "<revision>", as GET /api/v1/workflows/{call.path("id")} tells'
        )
        raise HttpProblem(428, "precondition-required", detail)
    return if_match


async def base_of(it: ApiDependencies, call: Call, if_match: str) -> int:
    """The revision that is meant: the newest, where the header names it or is `*`. Raises HttpProblem 404, and 412 where it
    names none that there could be."""
    named = parse_if_match(if_match)
    newest = await newest_revision(it, call.tenant_id, call.path("id"))
    if named is None or newest in named:
        return newest
    if not named:
        detail = f"the newest revision is {newest}, and If-Match names none: read it, merge, and save on top of it"
        raise HttpProblem(412, "stale-revision", detail, members={"revision": newest})
    return max(named)  # the fold decides: what is newest may be of an earlier try of this very request


async def bound_to(it: ApiDependencies, call: Call, if_match: str | None) -> int | None:
    """The same where the header may be missing: None for whichever is newest, also of `*`."""
    return None if if_match is None or parse_if_match(if_match) is None else await base_of(it, call, if_match)


def etag_of(verdict: Verdict | None) -> dict[str, str]:
    """The header that names the revision which a command made."""
    revision = verdict.body.get("revision") if verdict is not None else None
    return {"ETag": etag(revision)} if isinstance(revision, int) else {}
