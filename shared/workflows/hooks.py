"""The inbound URLs that a document asks for: their ids, and what a revision's record keeps of them. Pure.

Guarantee: the id follows from tenant, workflow and what the settings say of name and proof, and from nothing else: equal
over revisions and restarts, different for different workflows.
Next: `shared/domain/hooks.py`, what is kept of them.
"""

from dataclasses import dataclass

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.hooks import HOOK_EVENT, HookPlan, hook_source
from shared.domain.ids import hook_id
from shared.expressions import sha256_hex
from shared.workflows.catalogue import Catalogue
from shared.workflows.document import WorkflowDocument, pointer_to
from shared.workflows.triggers import EventPattern, OnEvent, OnHook, Start
from shared.workflows.webhook import WebhookSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHook:
    """One `webhook` trigger: where its settings stand in the document, and what it asks for."""

    pointer: str
    settings: WebhookSettings

    def plan(self, tenant_id: str, workflow_id: str) -> HookPlan:
        """As a revision of that workflow has it, without a secret."""
        return HookPlan(
            id=id_of(tenant_id, workflow_id, self.settings),
            vendor=self.settings.vendor,
            settings=self.settings.source_settings,
            id_path=self.settings.id_path,
            answer=self.settings.hook_answer,
        )


def id_of(tenant_id: str, workflow_id: str, settings: WebhookSettings) -> str:
    """The id of the URL."""
    return hook_id(tenant_id, workflow_id, sha256_hex(settings.identity))


def start_pattern(start: Start, tenant_id: str, workflow_id: str) -> EventPattern | None:
    """The events that start a run of the workflow at once; None: this trigger does not work so."""
    match start:
        case OnEvent(pattern=pattern):
            return pattern
        case OnHook(settings=settings):
            source = hook_source(id_of(tenant_id, workflow_id, settings))
            return {"type": [HOOK_EVENT], "source": [source], "subject": [workflow_id]}
        case _:
            return None


def placed_hooks(document: WorkflowDocument, catalogue: Catalogue) -> tuple[PlacedHook, ...]:
    """In the document's order; triggers that cannot be read are left out, for `check.py` tells of them."""
    found = []
    for base, trigger in document.placed_triggers:
        for key, value in trigger.items():
            kind = catalogue.triggers.get(key)
            try:
                start = kind.start(value, zone=document.timezone) if kind is not None else None
            except InvalidInput:
                continue
            if isinstance(start, OnHook):
                found.append(PlacedHook(pointer=pointer_to(*base, key), settings=start.settings))
    return tuple(found)


def hook_flaws(hooks: tuple[PlacedHook, ...], *, allow_unsigned: bool) -> list[Flaw]:
    """What one hook alone cannot know: that two are not the same URL, and whether the operator lets anybody send.

    `allow_unsigned`: the operator's `UPSHOT_ALLOW_UNSIGNED_SOURCES`.
    """
    flaws = []
    for index, each in enumerate(hooks):
        if any(each.settings.identity == other.settings.identity for other in hooks[:index]):
            detail = "another trigger here has the same URL; give each a `name` of its own"
            flaws.append(Flaw(pointer=each.pointer, detail=detail))
        if not each.settings.signed and not allow_unsigned:
            detail = (
                "anybody could send to it; leave `signature` out for Standard Webhooks, describe the sender's own, or say "
                "`path_token: true` (an operator may allow it with UPSHOT_ALLOW_UNSIGNED_SOURCES)"
            )
            flaws.append(Flaw(pointer=f"{each.pointer}/signature", detail=detail))
    return flaws
