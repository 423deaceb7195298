"""Sealing against the real keystore: opens for its tenant and purpose only, and never again once the key is destroyed."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.domain.errors import PermanentError
from shared.readmodel.connect import ConnectParameters, connect
from shared.readmodel.keystore import Keystore
from shared.runtime.clock import SystemRandomness
from shared.runtime.sealing import KEY_CACHE_SECONDS, CannotUnseal, Sealer, is_sealed

MASTER_KEY = b"a master key of no consequence.."


class SteppingClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


def sealer(keystore: Keystore, master_key: bytes = MASTER_KEY, clock: SteppingClock | None = None) -> Sealer:
    return Sealer(keystore, master_key, SystemRandomness(), clock or SteppingClock())


async def test_what_was_sealed_opens_in_every_process(keystore: Keystore) -> None:
    text = await sealer(keystore).seal("acme", "whsec_geheim é", "endpoint")
    assert is_sealed(text)
    assert "geheim" not in text
    assert await sealer(keystore).unseal("acme", text, "endpoint") == "whsec_geheim é"


async def test_sealing_twice_never_gives_the_same_text(keystore: Keystore) -> None:
    one = sealer(keystore)
    assert await one.seal("acme", "same", "endpoint") != await one.seal("acme", "same", "endpoint")


async def test_a_fingerprint_is_the_same_in_every_process_and_says_nothing_without_the_master_key(
    keystore: Keystore,
) -> None:
    one, content = sealer(keystore), b'{"secret":"summer2026"}'
    found = one.fingerprint("acme", content)
    assert found == sealer(keystore).fingerprint("acme", content)
    others = [
        one.fingerprint("globex", content),
        one.fingerprint("acme", content + b" "),
        sealer(keystore, b"another master key").fingerprint("acme", content),
        hashlib.sha256(content).hexdigest(),
    ]
    assert found not in others
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(("tenant", "purpose"), [("globex", "endpoint"), ("acme", "source")])
async def test_another_tenant_or_purpose_does_not_open_it(keystore: Keystore, tenant: str, purpose: str) -> None:
    one = sealer(keystore)
    await one.seal("globex", "so that this tenant has a key too", "endpoint")
    text = await one.seal("acme", "secret", "endpoint")
    with pytest.raises(CannotUnseal):
        await one.unseal(tenant, text, purpose)


async def test_a_text_moved_under_another_tenants_key_does_not_open(keystore: Keystore) -> None:
    one = sealer(keystore)
    foreign = await one.seal("globex", "x", "endpoint")
    mine = await one.seal("acme", "secret", "endpoint")
    forged = ":".join([*foreign.split(":")[:3], mine.split(":")[3]])
    with pytest.raises(PermanentError):
        await one.unseal("globex", forged, "endpoint")


async def test_another_master_key_opens_nothing(keystore: Keystore) -> None:
    text = await sealer(keystore).seal("acme", "secret", "endpoint")
    with pytest.raises(CannotUnseal, match="master key"):
        await sealer(keystore, b"another master key, just as long").unseal("acme", text, "endpoint")


@pytest.mark.parametrize(
    "text", ["", "plain", "sealed:v1:", "sealed:v1:k:", "sealed:v1:k:????", "sealed:v1:k:AAAA", "sealed:v2:k:AAAA"]
)
async def test_what_is_no_sealed_text_is_refused_plainly(keystore: Keystore, text: str) -> None:
    with pytest.raises(CannotUnseal):
        await sealer(keystore).unseal("acme", text, "endpoint")


async def test_a_destroyed_key_opens_nothing_and_the_next_secret_gets_a_new_one(keystore: Keystore) -> None:
    one = sealer(keystore)
    before = await one.seal("acme", "secret", "endpoint")
    assert await one.destroy("acme") == [before.split(":")[2]]
    with pytest.raises(CannotUnseal, match="destroyed"):
        await one.unseal("acme", before, "endpoint")
    after = await one.seal("acme", "secret", "endpoint")
    assert after.split(":")[2] != before.split(":")[2]
    assert await one.unseal("acme", after, "endpoint") == "secret"


async def test_another_process_stops_opening_within_its_caches_time(keystore: Keystore) -> None:
    clock = SteppingClock()
    other = sealer(keystore, clock=clock)
    text = await other.seal("acme", "secret", "endpoint")
    assert await other.unseal("acme", text, "endpoint") == "secret"
    await sealer(keystore).destroy("acme")
    clock.seconds = KEY_CACHE_SECONDS
    with pytest.raises(CannotUnseal, match="destroyed"):
        await other.unseal("acme", text, "endpoint")


async def test_processes_that_need_the_first_key_at_once_get_the_same_one(keystore: Keystore) -> None:
    sealers = [sealer(keystore) for _ in range(8)]
    texts = await asyncio.gather(*(each.seal("acme", "secret", "endpoint") for each in sealers))
    assert len({text.split(":")[2] for text in texts}) == 1
    assert {await sealers[0].unseal("acme", text, "endpoint") for text in texts} == {"secret"}


async def test_only_the_service_role_reaches_the_keys(server: ConnectParameters) -> None:
    connection = await connect(replace(server, database="bootstrapped"))
    try:
        allowed = await connection.fetch(
            "SELECT role FROM unnest(ARRAY['upshot_api', 'upshot_service']) AS role "
            "WHERE has_schema_privilege(role, 'keystore', 'USAGE') "
            "OR has_table_privilege(role, 'keystore.data_keys', 'SELECT')"
        )
    finally:
        await connection.close()
    assert [row["role"] for row in allowed] == ["upshot_service"]
