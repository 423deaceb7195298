"""A workflow's inbound URLs: secrets made and sealed when it is saved, shown once, rotated when somebody asks.

Guarantee: a secret enters a record sealed only, and is shown only to whom the very record belongs that made it.
Next: `shared/domain/hooks.py` for what is kept, `services/ingest` for who asks for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.api.service.commands import Commands, Intent, succeeded
from services.api.service.ports import HOOK_SECRET, ApiDependencies
from services.api.service.sources import check_path_token, hook_url
from services.api.service.tenants import current_tenant
from services.ingest.sources.configure import configure
from shared.domain.definitions import Tenant, Workflow
from shared.domain.endpoint_secret import generate_endpoint_secret
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.hooks import Hook, HookPlan
from shared.domain.records import HookSecretRotated
from shared.domain.verdicts import Verdict
from shared.runtime.http import HttpProblem
from shared.workflows.catalogue import Catalogue
from shared.workflows.document import parse_document, written_triggers
from shared.workflows.hooks import placed_hooks

_DRAWN_SECRET_BYTES = 32
_TRIGGER = "webhook"
"""The trigger's key in documents."""
_TOKEN_PLACEHOLDER = "{secret}"  # noqa: S105  stands where the secret would


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnHooks:
    """What a save is to hold, and the secrets that were made for it, by hook, unsealed."""

    plans: tuple[HookPlan, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHook:
    """A URL as its tenant sees it. `secret`: where it may be shown, which is once. `pointer`: its place in the document."""

    id: str
    name: str
    pointer: str
    url: str
    proof: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedSecret:
    """As `ShownHook`."""

    verdict: Verdict | None
    url: str
    secret: str | None = field(default=None, repr=False)


async def draw_hooks(
    it: ApiDependencies, tenant: Tenant, workflow_id: str, document: Mapping[str, object]
) -> DrawnHooks:
    """The hooks of a document that passed its check; a secret for each that has none yet."""
    workflow = tenant.workflows.get(workflow_id)
    plans, secrets = [], {}
    for placed in placed_hooks(parse_document(document), it.catalogue):
        plan = placed.plan(tenant.id, workflow_id)
        standing = workflow.hook(plan.id) if workflow is not None else None
        if placed.settings.signed and (standing is None or not standing.secrets):
            secrets[plan.id] = _drawn(it, plan)
            plan = replace(plan, secret=await it.sealer.seal(tenant.id, secrets[plan.id], HOOK_SECRET))
        plans.append(plan)
    return DrawnHooks(plans=tuple(plans), secrets=secrets)


async def hooks_after_saving(
    it: ApiDependencies,
    intent: Intent,
    workflow_id: str,
    document: Mapping[str, object],
    drawn: DrawnHooks,
    verdict: Verdict | None,
) -> tuple[ShownHook, ...]:
    """The URLs of the document; with the secrets that this save, and no earlier try of it, has made."""
    if not drawn.plans:
        return ()
    secrets: Mapping[str, str] = {}
    if verdict is None:
        secrets = {} if intent.keyed else drawn.secrets
    elif succeeded(verdict):
        workflow = (await current_tenant(it, intent.tenant_id)).workflows.get(workflow_id)
        standing = {each.id: each for each in workflow.hooks} if workflow is not None else {}
        # Sealing twice gives two texts, so equal ones are of one record.
        ours = {
            plan.id for plan in drawn.plans if plan.secret is not None and _holds(standing.get(plan.id), plan.secret)
        }
        secrets = {hook_id: secret for hook_id, secret in drawn.secrets.items() if hook_id in ours}
    return shown_hooks(it.public_url(), it.catalogue, intent.tenant_id, workflow_id, document, secrets)


def shown_hooks(
    public_url: str,
    catalogue: Catalogue,
    tenant_id: str,
    workflow_id: str,
    document: Mapping[str, object],
    secrets: Mapping[str, str] | None = None,
) -> tuple[ShownHook, ...]:
    """The URLs of a saved document, in its order; one that no longer parses has none."""
    if not _asks_for_hooks(document):
        return ()  # mostly so: lists of workflows need not parse every document
    try:
        placed = placed_hooks(parse_document(document), catalogue)
    except InvalidInput:
        return ()
    found = []
    for each in placed:
        plan = each.plan(tenant_id, workflow_id)
        secret = (secrets or {}).get(plan.id)
        found.append(
            ShownHook(
                id=plan.id,
                name=each.settings.name,
                pointer=each.pointer,
                url=_url(public_url, plan, secret),
                proof=_proof(plan),
                secret=secret,
            )
        )
    return tuple(found)


async def rotate_secret(
    it: ApiDependencies,
    commands: Commands,
    intent: Intent,
    workflow_id: str,
    hook_id: str,
    *,
    secret: str | None,
    overlap_seconds: int,
) -> RotatedSecret:
    """Raises HttpProblem 404 or 409, InvalidInput for a secret that cannot be one."""
    workflow, hook = await find_hook(it, intent.tenant_id, workflow_id, hook_id)
    if not hook.secrets:
        detail = "deliveries to this hook are not proved by a secret (`signature: none`)"
        raise HttpProblem(409, "hook-without-secret", detail)
    if secret is not None:
        _check_given(workflow, hook.plan, secret)
    chosen = secret if secret is not None else _drawn(it, hook.plan)
    fact = HookSecretRotated(
        workflow_id=workflow_id,
        hook_id=hook_id,
        secret=await it.sealer.seal(intent.tenant_id, chosen, HOOK_SECRET),
        overlap_seconds=overlap_seconds,
        command=intent.command,
    )
    verdict = await commands.carry_out(intent, fact)
    shown = verdict is None and not intent.keyed
    if succeeded(verdict):
        _, standing = await find_hook(it, intent.tenant_id, workflow_id, hook_id)
        shown = _holds(standing, fact.secret)
    url = _url(it.public_url(), hook.plan, chosen if shown else None)
    return RotatedSecret(verdict=verdict, url=url, secret=chosen if shown else None)


async def find_hook(it: ApiDependencies, tenant_id: str, workflow_id: str, hook_id: str) -> tuple[Workflow, Hook]:
    """Raises HttpProblem 404."""
    workflow = (await current_tenant(it, tenant_id)).workflows.get(workflow_id)
    hook = workflow.hook(hook_id) if workflow is not None else None
    if workflow is None or hook is None:
        detail = f"workflow {workflow_id!r} has no hook {hook_id!r}; GET /api/v1/workflows/{{id}} names those it has"
        raise HttpProblem(404, "unknown-hook", detail)
    return workflow, hook


def url_of(public_url: str, plan: HookPlan) -> str:
    """Where to deliver to; a secret that stands in the URL is left out."""
    return _url(public_url, plan, None)


def _asks_for_hooks(document: Mapping[str, object]) -> bool:
    return any(_TRIGGER in trigger for _, trigger in written_triggers(document))


def _holds(hook: Hook | None, sealed: str) -> bool:
    return hook is not None and any(each.sealed == sealed for each in hook.secrets)


def _drawn(it: ApiDependencies, plan: HookPlan) -> str:
    drawn = it.randomness.token_bytes(_DRAWN_SECRET_BYTES)
    return generate_endpoint_secret(drawn) if plan.vendor == "standardwebhooks" else drawn.hex()


def _check_given(workflow: Workflow, plan: HookPlan, secret: str) -> None:
    if plan.settings.get("path_token") is True:
        check_path_token(secret)
    try:
        configure(
            plan.vendor, source_name=workflow.name, settings=plan.settings, secrets=[secret], allow_unsigned=False
        )
    except InvalidInput as error:
        flaws: Sequence[Flaw] = [each for each in error.flaws if each.pointer == "#/secret"]
        if flaws:
            raise InvalidInput("The secret is not usable.", flaws) from None


def _url(public_url: str, plan: HookPlan, secret: str | None) -> str:
    in_path = plan.settings.get("path_token") is True
    return hook_url(public_url, plan.id, (secret or _TOKEN_PLACEHOLDER) if in_path else None)


def _proof(plan: HookPlan) -> str:
    if plan.vendor == "standardwebhooks":
        return "standard"
    if plan.settings.get("path_token") is True:
        return "path_token"
    return "signature" if "signature" in plan.settings else "none"
