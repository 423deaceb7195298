"""What an operator may set of approvals."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApprovalsSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_APPROVALS_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_APPROVALS_")

    recheck_seconds: float = Field(
        1.0,
        gt=0,
        description="after an expiry that the log's clock did not yet agree with, how long until the next try",
    )
