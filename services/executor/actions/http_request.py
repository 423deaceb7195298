"""`http.request`: any HTTP call to a public address. Of high risk: `approval: {when: auto}` holds a run that has one.

Repeating a GET or HEAD has no effect; any other method is unsafe unless the step says `idempotent: true`, since nobody
knows what its receiver does with our `Idempotency-Key`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

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
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import dump_json
from shared.domain.retry import RetryPolicy, exponential
from shared.domain.workflow import Effect
from shared.runtime.egress import parse_url

BODY_BYTES_MAX = 1_048_576


class RequestConfig(Config):
    """The call."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = Field(min_length=1, max_length=4000)
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    body: object = Field(
        None, description="JSON; a string is sent as it is, as text/plain unless a header says otherwise"
    )
    idempotent: bool = Field(
        False, description="the receiver takes a repetition with the same Idempotency-Key as one call"
    )


class HttpRequest:
    type = "http.request"
    policy: RetryPolicy = exponential(5, 5.0, 600.0)

    def effect(self, config: Mapping[str, object]) -> Effect:
        if config.get("method") in ("GET", "HEAD"):
            return "pure"
        return "keyed" if config.get("idempotent") is True else "unsafe"

    def flaws(self, config: Mapping[str, object]) -> Sequence[Flaw]:
        flaws = list(config_flaws(RequestConfig, config))
        url = config.get("url")
        if isinstance(url, str) and not is_template(url):
            try:
                parse_url(url)
            except InvalidInput as error:
                flaws += [Flaw(pointer="#/url", detail=flaw.detail) for flaw in error.flaws]
        if is_template(config.get("method")) or is_template(config.get("idempotent")):
            detail = "method and idempotent decide what may be repeated; write them out"
            flaws.append(Flaw(pointer="#/method", detail=detail))
        return flaws

    def high_risk(self, config: Mapping[str, object]) -> bool:
        del config
        return True

    def endpoint_references(self, config: Mapping[str, object]) -> Sequence[str]:
        del config
        return ()

    def schema(self) -> Mapping[str, object]:
        return RequestConfig.model_json_schema()

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        del scene, now
        wanted = validated(RequestConfig, config)
        headers = {name.lower(): value for name, value in wanted.headers.items()}
        body = ""
        if wanted.body is not None:
            is_text = isinstance(wanted.body, str)
            body = wanted.body if isinstance(wanted.body, str) else dump_json(wanted.body).decode()
            headers.setdefault("content-type", "text/plain; charset=utf-8" if is_text else "application/json")
        if len(body.encode()) > BODY_BYTES_MAX:
            raise Refused("too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
        return Prepared(request={"method": wanted.method, "url": wanted.url, "headers": headers, "body": body})

    def shown(self, request: Mapping[str, object], scene: Scene) -> Mapping[str, object]:
        return {**request, "headers": _headers(request, scene)}

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        request = attempt.request
        headers = _headers(request, attempt.scene)
        if attempt.scene.run.traceparent is not None:
            headers["traceparent"] = attempt.scene.run.traceparent
        body = str(request["body"]).encode()
        return await call(
            attempt, tools, method=str(request["method"]), url=str(request["url"]), headers=headers, body=body
        )


ACTION = HttpRequest()


def _headers(request: Mapping[str, object], scene: Scene) -> dict[str, str]:
    frozen = request["headers"]
    headers = {str(name): str(value) for name, value in frozen.items()} if isinstance(frozen, Mapping) else {}
    headers["idempotency-key"] = f'"{scene.delivery_id}"'
    return headers
