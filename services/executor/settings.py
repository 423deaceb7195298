"""What an operator may set of the executor."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ExecutorSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_EXECUTOR_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_EXECUTOR_")

    attempts_max: int = Field(256, ge=1, description="attempts under way at once, in all")
    attempts_per_tenant_max: int = Field(
        128,
        ge=1,
        description="of one tenant, which begins another only while more places are free than it holds",
    )
    attempts_per_endpoint_max: int = Field(32, ge=1, description="attempts under way at once to one endpoint")
    ends_linger_seconds: float = Field(
        0.008,
        ge=0,
        le=1,
        description="how long the word that ends a run may wait to be appended together with another record, where nothing "
        "of that run or behind it depends on it and others come as often; 0: not at all",
    )
    timeout_seconds: float = Field(20.0, gt=0, description="of an attempt whose step names none")
    response_bytes_max: int = Field(
        65_536, ge=0, description="of a receiver's answer that is kept as the step's output"
    )
    bug_pause_seconds: float = Field(
        2.0, gt=0, description="after a bug of ours in a step, how long until it is tried again; doubled each time"
    )
    bug_pause_seconds_max: float = Field(300.0, gt=0, description="the longest of these pauses")
    secrets_kept_max: int = Field(
        10_000, ge=1, description="endpoint secrets kept parsed, beside the sealer's own cache"
    )
    compiled_revisions_max: int = Field(10_000, ge=1, description="workflow revisions kept compiled")
