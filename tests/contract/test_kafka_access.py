"""A broker with an authorizer: with the documented rules upstreams append events and nothing else, and the doctor names whoever
may do more.
"""

import asyncio
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import pytest_asyncio

from services.cli.findings import Finding
from services.cli.kafka_doctor import kafka_findings
from shared.bus import codec
from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.adapters.kafka.access import read_access
from shared.bus.topics import EVENTS, RUNS
from shared.domain.envelope import Event
from shared.runtime.clock import SystemClock
from shared.testing.kafka import USERS, KafkaCluster
from shared.testing.markdown import snippets

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
OWN, UPSTREAM = "upshot", "upstream"
needs_kcat = pytest.mark.skipif(
    shutil.which("kcat") is None, reason="kcat is not installed: clients of librdkafka were not tested"
)


PREFIX = "access."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(secured_kafka: KafkaCluster) -> KafkaCluster:
    """A broker on which nobody but its administrator may do anything, but for what the documentation grants, and for three
    rules too many: the first test removes them."""
    (snippet,) = [each for each in snippets(ROOT) if each.kind == "sh acls"]
    granted = [
        line.partition("--command-config admin.properties ")[2]
        .replace("User:shop", f"User:{UPSTREAM}")
        .replace(" upshot.", f" {PREFIX}upshot.")
        .split()
        for line in re.sub(r"\\\n", "", snippet.text).splitlines()
    ]
    too_much = [
        ["--add", "--allow-principal", f"User:{UPSTREAM}", "--operation", operation, *name]
        for operation, *name in (
            ("Write", "--topic", PREFIX + RUNS),
            ("Read", "--group", f"{PREFIX}{EVENTS}.matcher"),
            ("Alter", "--cluster"),
        )
    ]
    await asyncio.gather(*(secured_kafka.tool("acls", *each) for each in (*granted, *too_much)))
    return secured_kafka


def settings_of(cluster: KafkaCluster, user: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=cluster.bootstrap_servers,
        topic_prefix=PREFIX,
        partition_count=2,
        security_protocol="SASL_SSL",
        tls_ca_file=cluster.certificates / "ca.pem",
        sasl_mechanism="PLAIN",
        sasl_user=user,
        sasl_password=USERS[user],
    )


async def examined(settings: KafkaSettings) -> list[Finding]:
    return [each async for each in kafka_findings(settings, SystemClock(), {EVENTS: {}, RUNS: {}}, 1)]


async def kcat(cluster: KafkaCluster, topic: str) -> tuple[int | None, str]:
    """As an upstream service."""
    secured = {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(cluster.certificates / "ca.pem"),
        "sasl.mechanism": "PLAIN",
        "sasl.username": UPSTREAM,
        "sasl.password": USERS[UPSTREAM],
    }
    options = [option for name, value in secured.items() for option in ("-X", f"{name}={value}")]
    done = await asyncio.to_thread(
        subprocess.run,
        ["kcat", "-P", "-b", cluster.bootstrap_servers, "-t", PREFIX + topic, "-k", "acme", *options],
        input=b"{}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout.decode()


async def test_the_doctor_names_whoever_may_do_more_and_says_how_to_mend_it(guarded: KafkaCluster) -> None:
    await (await KafkaBus.open(settings_of(guarded, OWN), SystemClock())).close()
    told = [each for each in await examined(settings_of(guarded, OWN)) if each.level != "ok"]
    assert [(each.level, each.what) for each in told] == [
        ("fail", "User:upstream may Write access.upshot.runs, by the rule for literal access.upshot.runs"),
        (
            "fail",
            "User:upstream may Read the group access.upshot.events.matcher, "
            "by the rule for literal access.upshot.events.matcher",
        ),
        ("warn", "User:upstream may Alter the cluster, and with it give itself any right to Upshot's topics"),
    ]
    for each in told:
        command = each.mend.removeprefix("unless it is an administrator: ")
        await guarded.tool("acls", "--force", *shlex.split(command)[1:])
    assert not [each for each in await examined(settings_of(guarded, OWN)) if each.level != "ok"]
    assert (await read_access(settings_of(guarded, UPSTREAM), SystemClock())).status == "hidden"


@needs_kcat
async def test_with_the_documented_rules_upstreams_append_events_and_the_doctor_is_content(
    guarded: KafkaCluster,
) -> None:
    settings = settings_of(guarded, OWN)
    bus = await KafkaBus.open(settings, SystemClock())
    member = await bus.join("matcher", EVENTS, member_id="one~1")
    assert await member.next_assignment(timeout_seconds=10)
    event = Event(id="1", source="/s", type="t", tenant_id="acme", data=None)
    await bus.append([codec.encode(EVENTS, event), codec.encode(RUNS, event)])

    allowed, _ = await kcat(guarded, EVENTS)
    refused, why = await kcat(guarded, RUNS)
    found = await examined(settings)
    await bus.close()

    assert allowed == 0
    assert refused != 0
    assert "authorization failed" in why.lower()
    assert {each.level for each in found} == {"ok"}, found
    told = [each.what for each in found if each.level == "ok"]
    assert "only User:upshot may write access.upshot.definitions, access.upshot.runs, access.upshot.deadletters" in told
    assert "access.upshot.events may also be written by User:upstream" in told
    assert "upshot.events: 2 records in 2 partitions" in told
    assert "group matcher on upshot.events: goes by the read model's checkpoints, 1 live" in told
    assert "the read model on upshot.events: 2 records behind" in told


async def test_the_doctor_warns_of_a_topic_that_is_less_safe_than_it_could_be(kafka_broker: KafkaCluster) -> None:
    servers = kafka_broker.bootstrap_servers
    settings = KafkaSettings(bootstrap_servers=servers, topic_prefix="unclean.", partition_count=2)
    await (await KafkaBus.open(settings, SystemClock())).close()
    unclean = ["--alter", "--topic", "unclean.upshot.runs", "--add-config", "unclean.leader.election.enable=true"]
    await kafka_broker.tool("configs", *unclean)
    found = [each for each in await examined(settings) if each.level == "warn" and "unclean.upshot" in each.what]
    assert [each.what for each in found] == [
        "the topic unclean.upshot.runs may be led by a copy that lacks acknowledged records"
    ]
    assert found[0].mend.endswith("--topic unclean.upshot.runs --add-config unclean.leader.election.enable=false`")


async def test_without_an_authorizer_the_doctor_warns(kafka_broker: KafkaCluster) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka_broker.bootstrap_servers, topic_prefix="nobody-made-this.")
    found = await examined(settings)
    assert any(each.level == "warn" and each.what.startswith("the brokers have no authorizer") for each in found)
    assert (
        Finding(
            level="fail", what="there is no topic nobody-made-this.upshot.runs", mend="starting any service makes it"
        )
        in found
    )
