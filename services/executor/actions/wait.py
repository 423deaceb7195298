"""`wait`: nothing happens for `seconds`, or until an instant. The instant stands in the log; a month costs nothing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, Field, model_validator

from services.executor.actions import Attempt, Config, Prepared, Scene, Tools, config_flaws, is_template, validated
from services.executor.core.outcome import Outcome
from shared.domain.errors import Flaw
from shared.domain.retry import NO_RETRY
from shared.domain.workflow import Effect

WAIT_SECONDS_MAX = 366 * 24 * 3600


class WaitConfig(Config):
    """One of the two."""

    seconds: float | None = Field(None, ge=0, le=WAIT_SECONDS_MAX)
    until: AwareDatetime | None = Field(None, description="an instant with its offset, as 2026-03-01T08:00:00Z")

    @model_validator(mode="after")
    def _one_of_two(self) -> "WaitConfig":
        if (self.seconds is None) == (self.until is None):
            raise ValueError("name either seconds or until")
        if self.until is not None:
            try:
                self.until.astimezone(UTC)
            except OverflowError:
                raise ValueError("until lies outside the years 1 to 9999 of UTC") from None
        return self


class Wait:
    """Pure: repeating it changes nothing."""

    type = "wait"
    policy = NO_RETRY

    def effect(self, config: Mapping[str, object]) -> Effect:
        del config
        return "pure"

    def flaws(self, config: Mapping[str, object]) -> Sequence[Flaw]:
        if (
            any(is_template(value) for value in config.values())
            and len(config) == 1
            and set(config) <= {"seconds", "until"}
        ):
            return []
        return config_flaws(WaitConfig, config)

    def high_risk(self, config: Mapping[str, object]) -> bool:
        del config
        return False

    def endpoint_references(self, config: Mapping[str, object]) -> Sequence[str]:
        del config
        return ()

    def schema(self) -> Mapping[str, object]:
        return WaitConfig.model_json_schema()

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        del scene
        wanted = validated(WaitConfig, config)
        due_at = wanted.until if wanted.until is not None else now + timedelta(seconds=wanted.seconds or 0)
        due_at = due_at.astimezone(UTC)
        return Prepared(request={"until": due_at.isoformat()}, due_at=due_at)

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        del tools
        return Outcome(status="succeeded", output={"until": attempt.request["until"]})


ACTION = Wait()
