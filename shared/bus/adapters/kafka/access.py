"""The brokers' access control list for topics, groups and the cluster, as an authorizer keeps it.

aiokafka's admin client has no call for it; its protocol classes have the request. Next: `services/cli/access_findings.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from aiokafka import errors as kafka_errors
from aiokafka.protocol.admin import DescribeAclsRequest

from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.clock import Clock
from shared.domain.errors import TransientError

Resource = Literal["Topic", "Group", "Cluster"]

ALL, WRITE = "All", "Write"
DELETING = ("Delete", "Alter", "AlterConfigs")
"""What can make a log forget."""
JOINING = ("Read", "Delete")
"""What can move a group's offsets, or take partitions from its members."""
RULING = ("Alter", "AlterConfigs", "ClusterAction")
"""Of the cluster: what can rewrite this list, or pass it by."""
CLUSTER = "kafka-cluster"

# Numbers of Kafka's protocol.
_ANY = 1
_RESOURCES: Mapping[int, Resource] = {2: "Topic", 3: "Group", 4: "Cluster"}
_LITERAL, _PREFIXED = 3, 4
_ALLOW = 3
_OPERATIONS = {
    2: ALL,
    3: "Read",
    4: WRITE,
    5: "Create",
    6: "Delete",
    7: "Alter",
    8: "Describe",
    9: "ClusterAction",
    10: "DescribeConfigs",
    11: "AlterConfigs",
    12: "IdempotentWrite",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AclBinding:
    """One rule. `principal`: `User:shop`; `operation`: as `kafka-acls` writes it; `name`: of the resource, or what it begins
    with."""

    resource: Resource
    principal: str
    host: str
    operation: str
    allows: bool
    name: str
    pattern: Literal["Literal", "Prefixed"]

    def covers(self, resource: Resource, name: str) -> bool:
        """Whether it is about this one (full name)."""
        if resource != self.resource:
            return False
        if self.pattern == "Prefixed":
            return name.startswith(self.name)
        return self.name in (name, "*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`none`: there is no authorizer, everybody may do everything; `hidden`: this user may not see the list."""

    status: Literal["listed", "none", "hidden"]
    bindings: tuple[AclBinding, ...] = ()


async def read_access(settings: KafkaSettings, clock: Clock) -> Access:
    """Raises `TransientError` while brokers are away, `PermanentError` where they refuse us."""
    link = Link(settings, clock)
    try:
        node_id = min(await link.broker_ids())
        answer = await link.send(node_id, DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY))
    finally:
        await link.close()
    error = kafka_errors.for_code(answer.error_code)
    if error is kafka_errors.SecurityDisabled:
        return Access(status="none")
    if error is kafka_errors.ClusterAuthorizationFailedError:
        return Access(status="hidden")
    if error is not kafka_errors.NoError:
        raise TransientError(f"the access control list cannot be read: {answer.error_message or error.__name__}")
    return Access(
        status="listed",
        bindings=tuple(
            AclBinding(
                resource=_RESOURCES[kind],
                principal=principal,
                host=host,
                operation=_OPERATIONS.get(operation, f"operation {operation}"),
                allows=permission == _ALLOW,
                name=name,
                pattern="Prefixed" if pattern == _PREFIXED else "Literal",
            )
            for kind, name, pattern, rules in answer.resources
            if kind in _RESOURCES
            for principal, host, operation, permission in rules
        ),
    )
