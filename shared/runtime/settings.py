"""The platform's settings, read from the environment: `UPSHOT_<NAME>`. Each service has its own beside these.

An unusable value ends the process with one line that names the variable. `docs/reference/settings.md` is made from this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Json, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.plans import Quotas

Settings = TypeVar("Settings", bound=BaseSettings)


QUOTA_MAX = 1_000_000_000
"""More is as good as unbounded, which is said by leaving the number out; beyond twice as much no column would hold it."""


class PlanQuotas(BaseModel):
    """One plan of `UPSHOT_PLANS`; what it does not name is unbounded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflows: int | None = Field(None, ge=0, le=QUOTA_MAX)
    runs_per_month: int | None = Field(None, ge=0, le=QUOTA_MAX)


class UpshotSettings(BaseSettings):
    """What concerns the whole process."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_", frozen=True, extra="ignore")

    http_host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    http_port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: a free one.")
    http_connections_max: int = Field(
        10_000,
        ge=1,
        le=60_000,
        description="HTTP connections that may be open; one more takes the place of the one idle longest. Fewer where the "
        "limit on file descriptors, less 512 for everything else, allows fewer.",
    )
    http_head_timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=300,
        description="How long a request's line and headers may take from their first byte to their last, and a new connection "
        "to send them.",
    )
    public_url: str | None = Field(
        None,
        description="How the world reaches `/hooks`, for hook URLs; default: the address listened on, which is wrong where "
        "ingest and API are processes of their own: then both are told.",
    )
    data_dir: Path | None = Field(
        None, description="Data folder. Default: /var/lib/upshot for root, else upshot in the XDG data folder."
    )
    database_url: SecretStr | None = Field(
        None,
        description="A PostgreSQL (15 or later) instead of the embedded one, with a user that may create roles and schemas.",
    )
    bus: Literal["postgres", "kafka"] = Field(
        "postgres",
        description="What keeps the log: `postgres`, beside the read models, or `kafka` (`UPSHOT_KAFKA_…`). It is no switch: a "
        "log is moved by `upshot log copy`.",
    )
    master_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Wraps every key and names the roles' passwords. Default: a file in the data folder.",
    )
    jwt_secret: SecretStr | None = Field(
        None, min_length=16, description="Signs bearer tokens. Default: a file in the data folder, made on first start."
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="smtp://user:password@host:port of the outgoing mail server. No action of this version sends mail.",
    )
    allow_unsigned_sources: bool = Field(
        False, description="Whether sources without any proof of origin may be made. Anybody could then send events."
    )
    plans: Json[dict[str, PlanQuotas]] = Field(
        "{}",
        validate_default=True,
        description='Plans beside, or instead of, the built-in ones: `{"free": {"workflows": 10, "runs_per_month": 5000}}`; '
        "what is left out is unbounded, a number is at most 1000000000. A tenant gets the numbers with `upshot tenant create` "
        "and `upshot tenant plan`.",
    )
    write_level: int = Field(
        1,
        ge=1,
        description="Which record versions may be written: those of levels up to this. Raise it when every process runs a "
        "version that knows the level (`upshot doctor`), and never lower it again.",
    )
    huge_pages: bool = Field(
        True,
        description="Whether a process asks Linux to keep what it has loaded in huge pages, which saves some of its CPU time.",
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level that is logged.")
    drain_notice_seconds: float = Field(
        0.0,
        ge=0,
        le=300,
        description="After SIGTERM, how long a process goes on as before with 503 on /readyz, for load balancers to see; then "
        "requests under way may end, and others are refused once they have.",
    )
    shutdown_timeout_seconds: float = Field(
        10.0, gt=0, description="After SIGTERM, how long requests and attempts under way may take to end."
    )

    @property
    def own_plans(self) -> dict[str, Quotas]:
        """`plans` as the domain knows them."""
        return {
            name: Quotas(workflows=each.workflows, runs_per_month=each.runs_per_month)
            for name, each in self.plans.items()
        }


class RunsSettings(BaseSettings):
    """How the log of runs is followed, by all that act on runs. Prefix `UPSHOT_RUNS_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_RUNS_", frozen=True, extra="ignore")

    batch_records_max: int = Field(2_000, ge=1, description="Records of runs read and folded in one go.")
    busy_records: int = Field(24, ge=1, description="A batch of so many records means load.")
    linger_seconds: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Under load, how long the next batch may gather: look-ups and rounds of the loop are paid less often.",
    )
    patient_linger_seconds: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Of an approvals or projector process, how long the next batch may gather at any rate: no run's next step "
        "waits for it.",
    )
    former_matches_bytes: int = Field(
        4 * 1024 * 1024,
        ge=0,
        description="Memory in which a process notes what matches there were, so that it need not ask the read model about each "
        "new one: ten bits a match save 99 of 100 questions, four bits two of three; 0 asks about all.",
    )
    parsed_bytes_max: int = Field(
        4 * 1024 * 1024,
        ge=0,
        description="Bytes of records, by partition, whose runs are held parsed, which takes up to thirty times as much memory. "
        "Further runs are held as text until they are carried out, as those are that wait for a person or longer than a minute.",
    )
    retry_seconds: float = Field(0.5, gt=0, description="How long to wait while PostgreSQL or the log is away.")
    checkpoint_interval_seconds: float = Field(
        0.5,
        gt=0,
        le=60,
        description="Of an executor or approvals process: how often it asks how far the projector is, to let go of runs that "
        "have ended.",
    )
    unwritten_max: int = Field(
        100_000,
        ge=100,
        description="Of an executor or approvals process: with so many ids that the projector has not written yet the log is "
        "not read on.",
    )


def read_settings() -> UpshotSettings:
    """`read_settings_of` the whole process."""
    return read_settings_of(UpshotSettings)


def read_settings_of(kind: type[Settings], **chosen: object) -> Settings:
    """From the environment, but for those that are `chosen`. Raises `InvalidInput` that names each unusable variable, never its
    value."""
    try:
        return kind.model_validate(chosen)
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        flaws = [
            Flaw(pointer=_variable(prefix, each["loc"]), detail=each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidInput("a setting cannot be used", flaws) from None


def _variable(prefix: str, place: Sequence[int | str]) -> str:
    name = "_".join(str(part) for part in place).upper()
    return name if name.startswith(prefix) else prefix + name  # one that has several names is told by the first
