"""The tenants' API over HTTP, with everything that answers it: log, folds, matcher, projector and a real PostgreSQL.

No executor: runs stay where admission and approvals put them, so that each test says itself what happens to a run.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
import pytest_asyncio
from multidict import CIMultiDict
from yarl import URL

from services.api.api import ABOUT, routes
from services.api.service.ports import ApiDependencies
from services.api.settings import ApiSettings
from services.executor.actions import discover_actions
from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from services.projector.service import Projector
from services.projector.settings import ProjectorSettings
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.port import Position
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain import catalogue
from shared.domain.envelope import Event
from shared.domain.ids import published_event_id
from shared.domain.plans import Quotas
from shared.domain.records import Command, RunsFact, TenantCreated, TenantPlanChanged
from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import API, SERVICE, Connection, ConnectParameters, as_role, connect
from shared.readmodel.keystore import Keystore
from shared.readmodel.store import ReadModel
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.egress import EgressPolicy
from shared.runtime.http import HttpDependencies, HttpServer, Route, TokenVerifier, build_app, issue_token
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.runtime.shards import RunsFollower
from shared.testing.postgres import embedded_postgres
from shared.testing.waiting import PATIENCE_SECONDS, eventually
from shared.workflows.catalogue import Catalogue

MASTER_KEY = b"a master key of no consequence.."
JWT_SECRET = b"a secret for tests, long enough."
PUBLIC_URL = "https://hooks.upshot.example"
PARTITIONS = 4
EVERYTHING = ("admin", "events:write")
_TEMPLATE = "bootstrapped"
_numbers = count()
_CLOCK = SystemClock()

Json = Any  # whatever JSON the API answers: tests say what they expect of it


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Json

    def expect(self, status: int) -> Json:
        assert self.status == status, f"expected {status}, got {self.status}: {self.body}"
        return self.body


class Promise:
    """What the OpenAPI document says of answers. The same for all tests: rendered and compiled once."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def check(self, route: Route, answer: Answer, content_type: str) -> None:
        promised = self.document["paths"][route.path][route.method.lower()]["responses"]
        assert str(answer.status) in promised, f"{answer.status} is not described for {route.method} {route.path}"
        media = promised[str(answer.status)]["content"]
        assert content_type in media, f"{content_type} is not described for {route.method} {route.path}"
        self._validate(media[content_type]["schema"]["$ref"], answer.body)

    def _validate(self, reference: str, body: Json) -> None:
        if reference not in self._validators:
            schema = {"$ref": reference, "components": self.document["components"]}
            self._validators[reference] = jsonschema_rs.Draft202012Validator(schema, offline=True)
        flaws = [f"{each.instance_path}: {each.message}" for each in self._validators[reference].iter_errors(body)]
        assert not flaws, f"not as described by {reference}: {flaws}\n{body}"


@dataclass
class World:
    """A running API. `call` checks every answer against what the OpenAPI document promises."""

    url: str
    bus: MemoryBus
    readmodel: ReadModel
    queries: TenantQueries
    progress: ProjectionProgress
    sealer: Sealer
    definitions: DefinitionsFollower
    table: Sequence[Route]
    session: aiohttp.ClientSession
    promise: Promise
    reasons: list[str] = field(default_factory=list)

    def token(self, tenant_id: str = "acme", *roles: str, subject: str = "ada@acme.example") -> str:
        return issue_token(JWT_SECRET, tenant_id, roles or EVERYTHING, subject, 3600, _CLOCK.now())

    async def give_plan(self, plan: str, quotas: Quotas) -> None:
        """As `upshot tenant plan` does."""
        command = Command(id=f"plan-{plan}", payload_hash="", actor="operator")
        event = facts.envelop(
            TenantPlanChanged(plan=plan, quotas=quotas, command=command),
            id=f"plan-{plan}",
            tenant_id="acme",
            source="/upshot/cli",
            at=_CLOCK.now(),
            cause=Cause(causation_id=None, correlation_id=None),
        )
        (position,) = await self.bus.append([codec.encode(DEFINITIONS, event)])
        assert await self.progress.wait(DEFINITIONS, position.partition, position.offset, PATIENCE_SECONDS)

    async def call(
        self,
        method: str,
        path: str,
        json: Json = None,
        *,
        body: bytes | None = None,
        token: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = CIMultiDict([("Authorization", f"Bearer {token or self.token()}"), *(headers or {}).items()])
        if key is not None:
            sent["Idempotency-Key"] = key
        async with self.session.request(
            method, URL(self.url + path, encoded=True), json=json, data=body, headers=sent
        ) as response:
            found = await response.json(content_type=None)
            answer = Answer(response.status, response.headers.copy(), found)
            self._check(method, path, answer, response.content_type)
            return answer

    async def publish(self, event_type: str, data: bytes = b"{}", **more: Any) -> str:
        """A platform event in the log, or a replay of it; its id, once the read model shows it and what it matched."""
        derived, position = await self.append(event_type, data, **more)
        assert await self.progress.wait(EVENTS, position.partition, position.offset, PATIENCE_SECONDS)
        return derived

    async def append(
        self,
        event_type: str,
        data: bytes = b"{}",
        *,
        tenant_id: str = "acme",
        event_id: str = "e-1",
        replay_id: str | None = None,
    ) -> tuple[str, Position]:
        """The same, at once: its id, and where it lies."""
        derived = published_event_id(tenant_id, "/shop", event_id)
        event = Event(
            id=derived,
            source="/shop",
            type=event_type,
            tenant_id=tenant_id,
            data=data,
            time=_CLOCK.now(),
            replay_id=replay_id,
        )
        (position,) = await self.bus.append([codec.encode(EVENTS, event)])
        return derived, position

    async def record(self, run_id: str, fact: RunsFact, *, tenant_id: str = "acme") -> None:
        """A fact about a run, as another service appends it; returns once the read model has it."""
        event = facts.envelop(
            fact,
            id=f"{fact.TYPE}-{run_id}-{next(_numbers)}",
            tenant_id=tenant_id,
            source=facts.SOURCES["executor"],
            at=_CLOCK.now(),
            cause=Cause(causation_id="what-came-before", correlation_id=None),
        )
        (position,) = await self.bus.append([codec.encode(RUNS, event)])
        assert await self.progress.wait(RUNS, position.partition, position.offset, PATIENCE_SECONDS)

    async def run_of(self, workflow_id: str, **more: str) -> Json:
        """The only run of a workflow, once there is one."""

        async def found() -> Json:
            items = (await self.call("GET", f"/api/v1/runs?workflow={workflow_id}", **more)).expect(200)["items"]
            return items[0] if items else None

        return await eventually(found, f"a run of {workflow_id}")

    async def make_tenant(self, tenant_id: str) -> None:
        command = Command(id=f"make-{tenant_id}", payload_hash="", actor="operator")
        event = facts.envelop(
            TenantCreated(name=tenant_id, plan="free", command=command),
            id=f"make-{tenant_id}",
            tenant_id=tenant_id,
            source="/upshot/cli",
            at=_CLOCK.now(),
            cause=Cause(causation_id=None, correlation_id=None),
        )
        await self.bus.append([codec.encode(DEFINITIONS, event)])

    def _check(self, method: str, path: str, answer: Answer, content_type: str) -> None:
        plain = path.partition("?")[0].split("/")
        for route in self.table:
            pattern = route.path.split("/")
            fits = len(pattern) == len(plain) and all(
                want == got or want.startswith("{") for want, got in zip(pattern, plain, strict=True)
            )
            if route.method != method or not fits:
                continue
            self.promise.check(route, answer, content_type)
            return


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConnectParameters]:
    """A superuser's way into a running PostgreSQL that holds a bootstrapped database to copy."""
    async with embedded_postgres(tmp_path_factory.mktemp("api")) as handle:
        known = handle.connection
        admin = ConnectParameters(
            host=str(known.host), port=known.port, user=known.user, password=known.password, database=known.database
        )
        connection = await connect(admin)
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        await connection.close()
        await bootstrap(replace(admin, database=_TEMPLATE), MASTER_KEY)
        yield admin


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def administration(server: ConnectParameters) -> AsyncIterator[Connection]:
    """The superuser's connection that makes and drops databases."""
    connection = await connect(server)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def database(server: ConnectParameters, administration: Connection) -> AsyncIterator[ConnectParameters]:
    name = f"api_{next(_numbers)}"
    await administration.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    await administration.execute(f"GRANT CREATE, CONNECT ON DATABASE {name} TO upshot_owner")
    yield replace(server, database=name)
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def api_settings_change() -> dict[str, object]:
    return {}


@pytest.fixture
def api_settings(api_settings_change: dict[str, object]) -> ApiSettings:
    return ApiSettings.model_validate(api_settings_change)


@pytest.fixture
def matcher_settings_change() -> dict[str, object]:
    return {}


@pytest.fixture
def matcher_settings(matcher_settings_change: dict[str, object]) -> MatcherSettings:
    return MatcherSettings.model_validate(matcher_settings_change)


@pytest.fixture(scope="session")
def described() -> list[Promise]:
    """Empty until the first world has answered."""
    return []


@pytest.fixture
async def world(
    database: ConnectParameters,
    api_settings: ApiSettings,
    matcher_settings: MatcherSettings,
    described: list[Promise],
) -> AsyncIterator[World]:
    clock, randomness = SystemClock(), SystemRandomness()
    bus = MemoryBus(clock, partition_count=PARTITIONS)
    readmodel = await ReadModel.open(as_role(database, MASTER_KEY, SERVICE))
    queries = await TenantQueries.open(as_role(database, MASTER_KEY, API))
    keystore = await Keystore.open(as_role(database, MASTER_KEY, SERVICE))
    sealer = Sealer(keystore, MASTER_KEY, randomness, clock)
    progress = ProjectionProgress(readmodel.next_offsets)
    schemas = {each.name: each.schema for each in catalogue.all_types()}
    parts = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas=schemas)
    definitions = DefinitionsFollower(bus)
    matching = Matching(
        definitions.definitions,
        parts,
        matcher_settings,
        clock,
        partition_count=PARTITIONS,
        record_bytes_max=RECORD_BYTES_MAX_DEFAULT,
    )
    definitions.listen(matching.definition_changed)
    await definitions.start()

    async def restore_again(partition: int) -> None:
        await follower.restore_again(partition)

    projector = Projector(bus, readmodel, progress, clock, ProjectorSettings(), on_lost=restore_again)
    follower = RunsFollower(bus, readmodel, [projector], group="embedded", member_id="one")
    matcher = Matcher(bus, definitions, matching, matcher_settings, member_id="one", snapshots=readmodel, clock=clock)
    reasons: list[str] = []

    async def readiness() -> Sequence[str]:
        return reasons

    table = routes(
        ApiDependencies(
            bus=bus,
            queries=queries,
            progress=progress,
            definitions=definitions,
            sealer=sealer,
            egress=EgressPolicy.parse("127.0.0.1:9999"),
            catalogue=parts,
            clock=clock,
            randomness=randomness,
            settings=api_settings,
            allow_unsigned_sources=False,
            public_url=lambda: PUBLIC_URL,
            readiness=readiness,
            metrics_page=no_metrics,
        )
    )
    verifier = TokenVerifier(JWT_SECRET, clock=clock)
    app = build_app(table, HttpDependencies(verifier=verifier, randomness=randomness, about=ABOUT))
    tasks = [asyncio.create_task(each.run()) for each in (projector, follower, matcher)]
    http = await HttpServer.start(app, host="127.0.0.1", port=0)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        if not described:
            async with session.get(f"{http.url}/openapi.json") as response:
                described.append(Promise(await response.json()))
        made = World(
            url=http.url,
            bus=bus,
            readmodel=readmodel,
            queries=queries,
            progress=progress,
            sealer=sealer,
            definitions=definitions,
            table=table,
            session=session,
            promise=described[0],
            reasons=reasons,
        )
        await made.make_tenant("acme")
        yield made
    await http.close()
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await definitions.close()
    await progress.close()
    for each in (keystore, queries, readmodel, bus):
        await each.close()
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def no_metrics() -> str:
    return ""
