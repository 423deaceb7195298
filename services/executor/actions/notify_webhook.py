"""`notify.webhook`: a signed delivery to one of the tenant's endpoints, as Standard Webhooks 1.0.0 says.

The body is `{"type", "timestamp", "data"}`: the event's type and time unless the step names its own, and the step's `body` as
`data`. `webhook-id` and the bytes are the same over all attempts; timestamp and signatures are each attempt's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field

from services.executor.actions import (
    Attempt,
    Config,
    Prepared,
    Refused,
    Scene,
    Tools,
    config_flaws,
    is_template,
    validated,
)
from services.executor.actions.http_answers import call
from services.executor.core.outcome import Outcome
from shared.domain import rfc3339
from shared.domain.definitions import Endpoint
from shared.domain.endpoint_secret import EndpointSecret, parse_endpoint_secret
from shared.domain.errors import Flaw
from shared.domain.json_text import dump_json
from shared.domain.records import Problem
from shared.domain.retry import WEBHOOK_POLICY
from shared.domain.workflow import Effect
from shared.runtime.webhook_signing import signed_headers

BODY_BYTES_MAX = 262_144
_CONTENT_TYPE = "application/json"


class WebhookConfig(Config):
    """Where to, and what."""

    endpoint: str = Field(min_length=1, max_length=200, description="an endpoint's name or id")
    body: object = Field(None, description="the delivery's data; default: the event's data")
    type: str | None = Field(None, max_length=200, description="default: the event's type")


class NotifyWebhook:
    """Keyed: receivers know a repetition by its `webhook-id`."""

    type = "notify.webhook"
    policy = WEBHOOK_POLICY

    def __init__(self) -> None:
        self._parsed: dict[str, EndpointSecret] = {}

    def effect(self, config: Mapping[str, object]) -> Effect:
        del config
        return "keyed"

    def flaws(self, config: Mapping[str, object]) -> Sequence[Flaw]:
        return config_flaws(WebhookConfig, config)

    def high_risk(self, config: Mapping[str, object]) -> bool:
        del config
        return False

    def endpoint_references(self, config: Mapping[str, object]) -> Sequence[str]:
        endpoint = config.get("endpoint")
        return (endpoint,) if isinstance(endpoint, str) and not is_template(endpoint) else ()

    def schema(self) -> Mapping[str, object]:
        return WebhookConfig.model_json_schema()

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        del now
        wanted = validated(WebhookConfig, config)
        endpoint = _usable_endpoint(scene, wanted.endpoint)
        event = scene.run.event
        at = event.time if event is not None and event.time is not None else scene.run.requested_at
        payload = {
            "type": wanted.type or (event.type if event is not None else "run.requested"),
            "timestamp": rfc3339.render(at),
            "data": wanted.body if "body" in config else (event.data if event is not None else scene.run.inputs),
        }
        body = dump_json(payload)
        if len(body) > BODY_BYTES_MAX:
            raise Refused("too_large", f"the body has {len(body)} bytes; {BODY_BYTES_MAX} are the most")
        return Prepared(request={"endpoint_id": endpoint.id, "url": endpoint.url, "body": body.decode()})

    def shown(self, request: Mapping[str, object], scene: Scene) -> Mapping[str, object]:
        headers = {
            "webhook-id": scene.delivery_id,
            "webhook-timestamp": "(the second of the attempt)",
            "webhook-signature": "(one signature for each of the endpoint's secrets)",
            "content-type": _CONTENT_TYPE,
        }
        return {"method": "POST", "url": request["url"], "headers": headers, "body": request["body"]}

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        scene, request = attempt.scene, attempt.request
        endpoint = scene.tenant.endpoints.get(str(request["endpoint_id"]))
        if endpoint is None or endpoint.disabled_reason is not None:
            reason = endpoint.disabled_reason if endpoint is not None else "it was deleted"
            detail = f"the endpoint is disabled: {reason}"
            return Outcome(status="failed", problem=Problem(kind="endpoint_disabled", detail=detail))
        secrets = [await self._secret(scene.run.tenant_id, sealed, tools) for sealed in endpoint.secrets]
        body = str(request["body"]).encode()
        headers = signed_headers(secrets, scene.delivery_id, int(tools.clock.now().timestamp()), body)
        headers["content-type"] = _CONTENT_TYPE
        if scene.run.traceparent is not None:
            headers["traceparent"] = scene.run.traceparent
        outcome = await call(attempt, tools, method="POST", url=str(request["url"]), headers=headers, body=body)
        if outcome.problem is not None and outcome.problem.kind == "gone":
            return Outcome(status="failed", output=outcome.output, problem=outcome.problem, endpoint_gone=endpoint.id)
        return outcome

    async def _secret(self, tenant_id: str, sealed: str, tools: Tools) -> EndpointSecret:
        """Parsed once; the unsealed text itself is kept by nobody but the sealer's own bounded cache."""
        found = self._parsed.get(sealed)
        if found is None:
            found = parse_endpoint_secret(await tools.unseal(tenant_id, sealed))
            if len(self._parsed) >= tools.secrets_kept_max:
                self._parsed.pop(next(iter(self._parsed)))
            self._parsed[sealed] = found
        return found


ACTION = NotifyWebhook()


def _usable_endpoint(scene: Scene, reference: str) -> Endpoint:
    endpoint = scene.tenant.endpoint_named(reference)
    if endpoint is None:
        raise Refused("endpoint_unknown", f"there is no endpoint {reference!r}")
    if endpoint.disabled_reason is not None:
        raise Refused("endpoint_disabled", f"endpoint {endpoint.name!r} is disabled: {endpoint.disabled_reason}")
    return endpoint
