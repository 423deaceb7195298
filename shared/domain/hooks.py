"""A workflow's own inbound URLs: what a revision says of them, and what is kept of them over revisions.

Guarantee: a hook that was made once keeps its id and its secrets, also while no revision names it: whoever takes a trigger
back, or rolls back, finds the URL that senders know.
Next: `workflow_decisions.py`, which decides; `shared/workflows/hooks.py`, which reads them out of documents.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

HOOK_EVENT = "upshot.webhook.received"
"""The type of what a delivery to a hook becomes."""

HOOK_SECRETS_MAX = 5
"""That are valid at a time: each delivery is tried with all of them."""

_SOURCE = "/upshot/hooks/"
"""How the CloudEvents source of a hook's deliveries begins. No upstream service may use it."""


def hook_source(hook_id: str) -> str:
    """The CloudEvents source of what is delivered to a hook."""
    return _SOURCE + hook_id


@dataclass(frozen=True, slots=True, kw_only=True)
class HookAnswer:
    """The caller waits for the run, at most so long. `body`: a template over what the run did; None: the run in short."""

    wait_seconds: float
    status: int = 200
    body: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlan:
    """One URL that a revision has, as its record holds it.

    `vendor` and `settings` say how a delivery is proved, as those of a source do. `secret` (sealed) was made with this very
    save; None: there is none, or the one that stands is kept.
    """

    id: str
    vendor: str
    settings: dict[str, object] = field(default_factory=dict)
    id_path: str | None = None
    answer: HookAnswer | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecret:
    """`sealed`: its text. `until`: valid before this instant; None: it is the current one."""

    sealed: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A URL that a workflow has, or had: `live` says whether the newest revision names it."""

    plan: HookPlan
    tenant_id: str
    workflow_id: str
    made_at: datetime
    secrets: tuple[HookSecret, ...] = ()
    """Newest first."""
    live: bool = True

    @property
    def id(self) -> str:
        return self.plan.id

    def valid_secrets(self, now: datetime) -> tuple[str, ...]:
        """The sealed texts that prove a delivery at `now`, newest first."""
        return tuple(each.sealed for each in self.secrets if each.until is None or now < each.until)


def saved_hooks(
    former: tuple[Hook, ...], plans: tuple[HookPlan, ...], tenant_id: str, workflow_id: str, at: datetime
) -> tuple[Hook, ...]:
    """The hooks after a revision with these plans. A secret that stands is never replaced by saving."""
    known = {each.id: each for each in former}
    planned = {each.id for each in plans}
    saved = []
    for plan in plans:
        standing = known.get(plan.id)
        secrets = standing.secrets if standing is not None else ()
        if not secrets and plan.secret is not None:
            secrets = (HookSecret(sealed=plan.secret),)
        saved.append(
            Hook(
                plan=replace(plan, secret=None),
                tenant_id=tenant_id,
                workflow_id=workflow_id,
                made_at=standing.made_at if standing is not None else at,
                secrets=secrets,
            )
        )
    return (*saved, *(replace(each, live=False) for each in former if each.id not in planned))


def rotated(hook: Hook, sealed: str, overlap_seconds: int, at: datetime) -> Hook | None:
    """The hook with a new current secret; what was valid stays so for the overlap at most. None: too many would be."""
    ends = at + timedelta(seconds=overlap_seconds)
    shortened = [replace(each, until=ends if each.until is None else min(each.until, ends)) for each in hook.secrets]
    kept = tuple(each for each in shortened if each.until is not None and at < each.until)
    if len(kept) >= HOOK_SECRETS_MAX:
        return None
    return replace(hook, secrets=(HookSecret(sealed=sealed), *kept))
