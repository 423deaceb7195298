"""What an operator may set of the API."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
