"""`webhook: {}`: a URL of the workflow's own, with a secret of its own; whoever posts to it starts a run.

Its deliveries become `upshot.webhook.received` of this workflow alone. Settings: `shared/workflows/webhook.py`.
"""

from collections.abc import Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.triggers import OnHook
from shared.workflows.webhook import parse_webhook


class WebhookTrigger:
    """Starts on each delivery to the workflow's own URL."""

    key = "webhook"

    def flaws(self, value: object) -> Sequence[Flaw]:
        try:
            parse_webhook(value)
        except InvalidInput as error:
            return error.flaws
        return []

    def start(self, value: object, *, zone: str) -> OnHook:
        del zone
        return OnHook(settings=parse_webhook(value))


TRIGGER = WebhookTrigger()
