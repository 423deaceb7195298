"""/api/v1/workflows/{id}/hooks: the secrets of a workflow's inbound URLs. The URLs stand in the answer to the workflow."""

from aiohttp import web

from services.api.api import models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, PENDING, answer, intend
from services.api.service.commands import Commands
from services.api.service.hooks import ShownHook, find_hook, rotate_secret, shown_hooks, url_of
from services.api.service.ports import ApiDependencies
from services.api.service.tenants import current_tenant
from shared.bus.topics import DEFINITIONS
from shared.readmodel.tenant_values import WorkflowItem
from shared.runtime.http import WRITE, Call, Returns, Route

_REPEATED = (
    "this repeats an earlier request: the secret was shown in the first answer only; if that was lost, rotate again"
)


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def rotate(call: Call) -> web.StreamResponse:
        workflow_id, hook_id = call.path("id"), call.path("hook")
        wanted = await call.input(models.RotateInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        earlier = await commands.earlier(intent, DEFINITIONS)
        if earlier is not None:
            _, hook = await find_hook(it, intent.tenant_id, workflow_id, hook_id)
            more = {"url": url_of(it.public_url(), hook.plan), "note": _REPEATED}
            return answer(intent, earlier, more=more, replayed=True)
        made = await rotate_secret(
            it,
            commands,
            intent,
            workflow_id,
            hook_id,
            secret=wanted.secret,
            overlap_seconds=wanted.overlap_seconds,
        )
        shown_once = {"secret": made.secret} if made.secret is not None else {"note": _REPEATED}
        return answer(intent, made.verdict, more={"url": made.url, **shown_once})

    return [
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/hooks/{hook}/rotate",
            handler=rotate,
            summary="Give a hook a new secret",
            description="The answer holds it, once. The secrets before it stay valid for the overlap, so that senders can "
            "be told.",
            tag="workflows",
            roles=(WRITE,),
            request=models.RotateInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={200: Returns(description="Rotated.", model=models.HookRotated), 202: PENDING},
            errors={
                404: "There is no such hook.",
                409: "It has no secret, or too many are valid still.",
            },
            body_bytes_max=it.settings.body_bytes_max,
        )
    ]


def hooks_of(it: ApiDependencies, workflow: WorkflowItem) -> tuple[ShownHook, ...]:
    """The inbound URLs of the newest revision."""
    newest = workflow.newest
    return shown_hooks(it.public_url(), it.catalogue, workflow.tenant_id, workflow.workflow_id, newest.document)


async def standing_hooks(it: ApiDependencies, call: Call, workflow_id: str) -> dict[str, object]:
    """What a repeated request is told of the workflow's inbound URLs: no secret."""
    found = (await current_tenant(it, call.tenant_id)).workflows.get(workflow_id)
    if found is None or not found.hooks:
        return {}
    hooks = shown_hooks(it.public_url(), it.catalogue, call.tenant_id, workflow_id, found.newest.document)
    return shown.saved_hooks(hooks, replayed=True)
