"""What is told of a topic that was there already."""

import pytest

from shared.bus.adapters.kafka import KafkaSettings
from shared.bus.adapters.kafka.topic_rules import TopicSeen, topic_flaw, topic_weaknesses

GOOD = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "9000000",
    "compression.type": "uncompressed",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}


def settings(**more: object) -> KafkaSettings:
    return KafkaSettings.model_validate(more)


def topic(replicas: int = 3, **configs: str) -> TopicSeen:
    changed = {name.replace("_", "."): value for name, value in configs.items()}
    return TopicSeen(name="upshot.runs", partitions=32, replicas=replicas, configs=GOOD | changed)


def test_what_upshot_makes_by_itself_is_neither_flawed_nor_weak() -> None:
    for brokers, replicas, insync in ((1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")):
        made = topic(replicas, min_insync_replicas=insync)
        assert topic_flaw(settings(), made) is None
        assert topic_weaknesses(settings(), made, brokers) == []


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (
            topic(min_insync_replicas="1"),
            "the topic upshot.runs acknowledges what 1 of 3 copies have: "
            "`kafka-configs --alter --topic upshot.runs --add-config min.insync.replicas=2`",
        ),
        (
            topic(1, min_insync_replicas="1"),
            "the topic upshot.runs has partitions with 1 of 3 copies: add some with `kafka-reassign-partitions`, "
            "then set min.insync.replicas=2",
        ),
        (
            topic(unclean_leader_election_enable="true"),
            "the topic upshot.runs may be led by a copy that lacks acknowledged records: "
            "`kafka-configs --alter --topic upshot.runs --add-config unclean.leader.election.enable=false`",
        ),
    ],
)
def test_a_topic_less_safe_than_three_brokers_allow_is_told_of(seen: TopicSeen, told: str) -> None:
    assert topic_flaw(settings(), seen) is None
    assert topic_weaknesses(settings(), seen, 3) == [told]


def test_what_was_asked_for_is_no_weakness() -> None:
    assert topic_weaknesses(settings(replication_factor=1), topic(1, min_insync_replicas="1"), 3) == []
    assert topic_weaknesses(settings(min_insync_replicas=1), topic(3, min_insync_replicas="1"), 3) == []


def test_fewer_copies_in_step_than_were_asked_for_is_a_flaw() -> None:
    assert "less than UPSHOT_KAFKA_MIN_INSYNC_REPLICAS" in str(topic_flaw(settings(min_insync_replicas=3), topic()))
