"""/api/v1/workflows/{id}/revisions, /diff and /rollback: what a workflow was, what has changed since, and the way back."""

import asyncio

from aiohttp import web

from services.api.api import models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, PENDING, answer, intend
from services.api.api.hooks import standing_hooks
from services.api.api.preconditions import IF_MATCH, STALE, WITH_ETAG, base_of, etag_of, required_if_match
from services.api.core.commands import etag
from services.api.service.commands import Commands
from services.api.service.ports import ApiDependencies
from services.api.service.revisions import compare, roll_back, unknown_revision
from services.api.service.workflows import unknown_workflow
from shared.bus.topics import DEFINITIONS
from shared.readmodel.tenant_values import RevisionItem
from shared.runtime.http import READ, WRITE, Call, Returns, Route, reply


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(models.Paging)
        page = await it.queries.list_revisions(call.tenant_id, call.path("id"), cursor=query.cursor, limit=query.limit)
        if not page.items and query.cursor is None:
            raise unknown_workflow(call.path("id"))
        items = [shown.revision_summary(each) for each in page.items]
        return reply(200, models.RevisionList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        text = call.path("number")
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        found = await stored(call, number, text)
        return reply(200, shown.revision(found), {"ETag": etag(found.revision)})

    async def diff(call: Call) -> web.StreamResponse:
        query = call.query(models.DiffQuery)
        old = await stored(call, query.from_, str(query.from_))
        new = await stored(call, query.to, str(query.to))
        names = (f"revision {old.revision}", f"revision {new.revision}")
        # In a thread: a large document takes longer than others should wait.
        found = await asyncio.to_thread(compare, old.document, new.document, names=names)
        return reply(
            200,
            {
                "id": call.path("id"),
                "from": old.revision,
                "to": new.revision,
                "changes": [
                    {"op": each.op, "pointer": each.pointer, "old": each.old, "new": each.new} for each in found.changes
                ],
                "changes_left_out": found.left_out,
                "text": found.text,
            },
        )

    async def stored(call: Call, number: int, text: str) -> RevisionItem:
        found = await it.queries.get_revision(call.tenant_id, call.path("id"), number) if number else None
        if found is None:
            raise unknown_revision(call.path("id"), text)
        return found

    async def rollback(call: Call) -> web.StreamResponse:
        if_match = required_if_match(call)
        wanted = await call.input(models.RollbackInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"), base=if_match)
        verdict = await commands.earlier(intent, DEFINITIONS)
        if verdict is not None:
            more = await standing_hooks(it, call, call.path("id"))
            return answer(intent, verdict, headers=etag_of(verdict), more=more, replayed=True)
        base = await base_of(it, call, if_match)
        saved = await roll_back(it, commands, intent, call.path("id"), wanted.revision, base=base)
        more = shown.saved_hooks(saved.hooks, replayed=saved.repeated)
        return answer(intent, saved.verdict, headers=etag_of(saved.verdict), more=more, replayed=saved.repeated)

    return [
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/revisions",
            handler=list_all,
            summary="List a workflow's revisions, newest first",
            tag="workflows",
            roles=(READ,),
            query=models.Paging,
            responses={200: Returns(description="A page.", model=models.RevisionList)},
            errors={404: "There is no such workflow."},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/revisions/{number}",
            handler=get,
            summary="Show one revision",
            tag="workflows",
            roles=(READ,),
            responses={200: Returns(description="The revision.", model=models.RevisionAnswer, headers=WITH_ETAG)},
            errors={404: "There is no such revision."},
        ),
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/diff",
            handler=diff,
            summary="Compare two revisions",
            description="Every change with its place, as RFC 6902 would apply it, and a unified diff of the YAML that "
            "`upshot export` writes.",
            tag="workflows",
            roles=(READ,),
            query=models.DiffQuery,
            responses={200: Returns(description="What differs.", model=models.DiffAnswer)},
            errors={404: "There is no such revision."},
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/rollback",
            handler=rollback,
            summary="Go back to an earlier revision",
            description="Saves a new revision equal to that one, checked as any other: an endpoint that it names may be "
            "gone by now. Runs keep the revision that they began with.",
            tag="workflows",
            roles=(WRITE,),
            request=models.RollbackInput,
            headers=(IF_MATCH, IDEMPOTENCY_KEY),
            responses={
                200: Returns(description="Saved.", model=models.WorkflowSavedAnswer, headers=WITH_ETAG),
                202: PENDING,
            },
            errors={
                404: "There is no such workflow, or no such revision of it.",
                409: "Its name is another's by now, or the workflow is archived.",
                412: STALE,
                422: "It could not be saved any more: `errors` names each place.",
                428: "If-Match is missing.",
            },
            body_bytes_max=it.settings.body_bytes_max,
        ),
    ]
