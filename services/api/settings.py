"""What an operator may set of the API."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.workflows.hiding import SECRET_NAMES


class ApiSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_API_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_API_")

    command_wait_seconds: float = Field(
        5.0, gt=0, le=60, description="how long a command waits for its verdict before it is answered with 202"
    )
    body_bytes_max: int = Field(1_048_576, ge=1024, description="of one request to the API")
    timeline_records_max: int = Field(500, ge=1, le=10_000, description="of a run that are shown, the oldest first")
    log_read_timeout_seconds: float = Field(
        5.0, gt=0, description="longest wait for records that are known to be there"
    )
    explain_workflows_max: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="explained for one event; of more, those that it is likeliest about. A few milliseconds each, once",
    )
    explain_seconds_max: float = Field(
        5.0,
        gt=0,
        le=300,
        description="CPU time for one event's explanation; workflows that it does not reach are counted",
    )
    explain_search_records_max: int = Field(
        2000, ge=1, le=1_000_000, description="read, where no run leads to an event's match, before it counts as none"
    )
    hidden_names: tuple[str, ...] = Field(
        SECRET_NAMES,
        max_length=200,
        description="values under keys whose path holds one of these are not shown in explanations, trials and backtests, as "
        "a JSON list; words apart or together, in any case",
    )
