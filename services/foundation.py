"""What every process stands on, whichever services it runs: data folder, PostgreSQL, the log, read model, keys.

Opened top to bottom, closed bottom to top; the services are put together on it in `embedded.py` and `processes.py`. With the log
on Kafka, PostgreSQL is still the home of the read model and of the keys.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from shared.bus.adapters.postgres import BusSettings, PostgresBus, install
from shared.bus.metered import MeteredBus
from shared.bus.port import Bus
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.write_level import at_write_level
from shared.domain.errors import PermanentError
from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import SERVICE, Connection, ConnectParameters, as_role, connect
from shared.readmodel.store import ReadModel
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.embedded_postgres import (
    EmbeddedPostgresSettings,
    ServerHandle,
    default_data_dir,
    ensure_server,
    has_cluster,
)
from shared.runtime.secret_file import load_or_create
from shared.runtime.settings import UpshotSettings, read_settings_of
from shared.telemetry.metrics import Metrics

MASTER_KEY_FILE = "master-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """One process's ground."""

    settings: UpshotSettings
    data_dir: Path
    clock: SystemClock
    randomness: SystemRandomness
    admin: ConnectParameters
    master_key: bytes
    server: ServerHandle | None
    """The embedded server; None where a database URL names another."""
    bus: Bus
    refusal: Callable[[], str | None]
    """Why the log takes no records just now, as far as the last appends tell."""
    readmodel: ReadModel
    metrics: Metrics

    def role(self, name: str) -> ConnectParameters:
        """The database, as one of Upshot's roles."""
        return as_role(self.admin, self.master_key, name)


def data_dir_of(settings: UpshotSettings) -> Path:
    """The data folder that is meant, made where it is missing, for this user's eyes only. Raises PermanentError."""
    chosen = _chosen_data_dir(settings)
    try:
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise PermanentError(f"UPSHOT_DATA_DIR={chosen}: this folder cannot be made: {error.strerror}") from None
    return chosen.resolve()


def _chosen_data_dir(settings: UpshotSettings) -> Path:
    return settings.data_dir if settings.data_dir is not None else default_data_dir(os.environ, os.getuid())


def master_key_of(settings: UpshotSettings, data_dir: Path, randomness: SystemRandomness) -> bytes:
    """`UPSHOT_MASTER_KEY`, else the data folder's own, made on first start, 0600."""
    if settings.master_key is not None:
        return settings.master_key.get_secret_value().encode()
    return load_or_create(data_dir / MASTER_KEY_FILE, randomness)


@contextlib.asynccontextmanager
async def database(
    settings: UpshotSettings, data_dir: Path
) -> AsyncIterator[tuple[ConnectParameters, ServerHandle | None]]:
    """An administrator's way into PostgreSQL: the one that is named, else the embedded one, watched while in use."""
    if settings.database_url is not None:
        yield ConnectParameters(url=settings.database_url.get_secret_value()), None
        return
    server = await ensure_server(data_dir, read_settings_of(EmbeddedPostgresSettings))
    watcher = asyncio.create_task(server.watch(), name="embedded-postgres")
    try:
        known = server.connection
        yield (
            ConnectParameters(
                host=known.host, port=known.port, user=known.user, password=known.password, database=known.database
            ),
            server,
        )
    finally:
        await server.release()
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


@contextlib.asynccontextmanager
async def installed(settings: UpshotSettings) -> AsyncIterator[Foundation]:
    """`foundation`, for commands that only look. Raises PermanentError where nothing was ever started: they would look at a
    new, empty installation."""
    chosen = _chosen_data_dir(settings)
    if settings.database_url is None and not has_cluster(chosen):
        detail = "name its folder in UPSHOT_DATA_DIR; `upshot up` makes one"
        raise PermanentError(f"there is no installation in {chosen}: {detail}")
    async with foundation(settings) as ground:
        yield ground


@contextlib.asynccontextmanager
async def foundation(settings: UpshotSettings) -> AsyncIterator[Foundation]:
    """Everything up, migrated and connected; taken down again in the reverse order."""
    clock, randomness = SystemClock(), SystemRandomness()
    data_dir = data_dir_of(settings)
    master_key = master_key_of(settings, data_dir, randomness)
    RECORD_VERSIONS.check_write_level(settings.write_level)

    async with contextlib.AsyncExitStack() as stack:
        admin, server = await stack.enter_async_context(database(settings, data_dir))
        await bootstrap(admin, master_key, install=[_install_log] if settings.bus == "postgres" else [])
        service = as_role(admin, master_key, SERVICE)
        readmodel = await ReadModel.open(service)
        stack.push_async_callback(readmodel.close)
        log = await open_log(settings, service, clock)
        stack.push_async_callback(log.close)
        metrics = Metrics()
        log = metered = MeteredBus(log, metrics, clock)
        if settings.bus == "kafka":
            # Upstream services append events there themselves: only Upshot's own are believed what only Upshot says.
            log = SealedBus(log, Seal(seal_key(master_key)))
        bus = at_write_level(log, settings.write_level)
        yield Foundation(
            settings=settings,
            data_dir=data_dir,
            clock=clock,
            randomness=randomness,
            admin=admin,
            master_key=master_key,
            server=server,
            bus=bus,
            refusal=metered.refusal,
            readmodel=readmodel,
            metrics=metrics,
        )


async def open_log(settings: UpshotSettings, service: ConnectParameters, clock: SystemClock) -> Bus:
    """The log that `UPSHOT_BUS` names. `TransientError`: its servers are away."""
    match settings.bus:
        case "postgres":
            return await PostgresBus.open(
                lambda: connect(service, application="upshot-log"), read_settings_of(BusSettings), clock
            )
        case "kafka":
            # Here, not above: on PostgreSQL no start and no command has to wait for the client's import.
            from shared.bus.adapters.kafka import KafkaBus, KafkaSettings

            return await KafkaBus.open(read_settings_of(KafkaSettings), clock)


async def _install_log(connection: Connection) -> None:
    await install_postgres_log(connection, read_settings_of(BusSettings))


async def install_postgres_log(connection: Connection, settings: BusSettings) -> None:
    """As the owner: what is missing of a log on PostgreSQL."""
    await install(
        connection,
        partition_count=settings.partition_count,
        segment_records=settings.segment_records,
        service_role=SERVICE,
    )
