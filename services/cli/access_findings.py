"""Who may do what to the log's topics and groups on a broker that others use, too: pure judgements over its access control list.

Upshot's own principals write everything. Others may append to `upshot.events` and nothing else: whoever writes
`upshot.definitions` or `upshot.runs` could make workflows, approvals and runs of any tenant, and nobody could tell; whoever
joins one of Upshot's groups takes its work, or commits it away.
Superusers of the broker (`super.users`) are in no list: brokers do not tell of them.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

from services.cli.findings import Finding
from services.matcher.service.matcher import GROUP as MATCHER_GROUP
from services.wiring.acting import APPROVALS_GROUP, EMBEDDED_GROUP, EXECUTOR_GROUP, PROJECTOR_GROUP
from shared.bus.adapters.kafka.access import (
    ALL,
    CLUSTER,
    DELETING,
    JOINING,
    RULING,
    WRITE,
    Access,
    AclBinding,
    Resource,
)
from shared.bus.topics import DEADLETTERS, DEFINITIONS, EVENTS, RUNS

RESERVED = (DEFINITIONS, RUNS, DEADLETTERS)
GROUPS = (
    f"{EVENTS}.{MATCHER_GROUP}",
    *(f"{RUNS}.{group}" for group in (EMBEDDED_GROUP, EXECUTOR_GROUP, APPROVALS_GROUP, PROJECTOR_GROUP)),
)
SHOWN_MAX = 20
"""Findings about principals; a list with more is wrong as a whole."""

_EVERYONE = "User:*"


def access_findings(access: Access, own: Collection[str], prefix: str) -> list[Finding]:
    """`own`: Upshot's principals (`User:upshot`). `prefix`: of the topics' names."""
    if access.status == "none":
        mend = (
            "set authorizer.class.name on the brokers, and give principals what docs/how-to/publish-to-kafka.md lists"
        )
        what = "the brokers have no authorizer: whoever reaches them can write every topic, definitions and runs too"
        return [Finding(level="warn", what=what, mend=mend)]
    if access.status == "hidden":
        mend = "grant this user Describe on the cluster: kafka-acls --add --allow-principal … --operation Describe --cluster"
        return [Finding(level="warn", what="who may write the topics cannot be seen", mend=mend)]
    if not own:
        mend = "set UPSHOT_KAFKA_PRINCIPALS, such as User:upshot"
        return [Finding(level="warn", what="which principals are Upshot's own is not known", mend=mend)]
    found = [
        *_who_should_not(access.bindings, own, prefix),
        *_who_rules(access.bindings, own),
        *_without_any_rule(access.bindings, prefix),
    ]
    if len(found) > SHOWN_MAX:
        left_out = len(found) - SHOWN_MAX
        found = [*found[:SHOWN_MAX], Finding(level="fail", what=f"{left_out} more of the kind")]
    if not found:
        names = ", ".join(sorted(own))
        found.append(
            Finding(level="ok", what=f"only {names} may write {', '.join(prefix + each for each in RESERVED)}")
        )
    writers = sorted(_able(access.bindings, "Topic", prefix + EVENTS, (WRITE,)) - set(own))
    found.append(
        Finding(level="ok", what=f"{prefix}{EVENTS} may also be written by {', '.join(writers) or 'nobody else'}")
    )
    return found


def _who_should_not(bindings: Sequence[AclBinding], own: Collection[str], prefix: str) -> Iterable[Finding]:
    # Who may delete records or change settings of the log of record can make it forget.
    forbidden: Mapping[tuple[Resource, str], Sequence[str]] = {
        **{("Topic", prefix + topic): (WRITE, *DELETING) for topic in RESERVED},
        ("Topic", prefix + EVENTS): DELETING,
        **{("Group", prefix + group): JOINING for group in GROUPS},
    }
    for (resource, name), operations in forbidden.items():
        for rule in _rules(bindings, own, resource, name, operations):
            where = f"the group {name}" if resource == "Group" else name
            what = f"{_who(rule)} may {rule.operation} {where}, by the rule for {rule.pattern.lower()} {rule.name}"
            yield Finding(level="fail", what=what, mend=_removal(rule))


def _who_rules(bindings: Sequence[AclBinding], own: Collection[str]) -> Iterable[Finding]:
    """Of administrators that is as it should be: whether they are any, no list says."""
    for rule in _rules(bindings, own, "Cluster", CLUSTER, RULING):
        what = f"{_who(rule)} may {rule.operation} the cluster, and with it give itself any right to Upshot's topics"
        yield Finding(level="warn", what=what, mend=f"unless it is an administrator: {_removal(rule)}")


def _rules(
    bindings: Sequence[AclBinding], own: Collection[str], resource: Resource, name: str, operations: Collection[str]
) -> Iterable[AclBinding]:
    """For each stranger who may do any of these one rule by which it may."""
    for principal in sorted(_able(bindings, resource, name, operations) - set(own)):
        yield next(
            each
            for each in bindings
            if each.principal == principal
            and each.allows
            and each.covers(resource, name)
            and each.operation in (*operations, ALL)
        )


def _who(rule: AclBinding) -> str:
    return "everybody" if rule.principal == _EVERYONE else rule.principal


def _removal(rule: AclBinding) -> str:
    """The command that takes it away, as a shell reads it."""
    of_cluster = rule.resource == "Cluster"
    named = ["--cluster"] if of_cluster else [f"--{rule.resource.lower()}", rule.name]
    pattern = [] if of_cluster else ["--resource-pattern-type", rule.pattern.lower()]
    host = [] if rule.host == "*" else ["--allow-host", rule.host]
    words = ["kafka-acls", "--remove", "--allow-principal", rule.principal, *host, "--operation", rule.operation]
    return shlex.join([*words, *named, *pattern])


def _without_any_rule(bindings: Sequence[AclBinding], prefix: str) -> Iterable[Finding]:
    for topic in (*RESERVED, EVENTS):
        if not any(each.covers("Topic", prefix + topic) for each in bindings):
            mend = (
                "give Upshot's principals All on it; with allow.everyone.if.no.acl.found=true it is open to everybody"
            )
            yield Finding(level="warn", what=f"no rule names {prefix}{topic}", mend=mend)


def _able(bindings: Sequence[AclBinding], resource: Resource, name: str, operations: Collection[str]) -> set[str]:
    """The principals that may do any of these; a denial for every host outweighs what allows."""
    about = [each for each in bindings if each.covers(resource, name)]
    return {
        allowed.principal
        for allowed in about
        if allowed.allows
        for operation in operations
        if allowed.operation in (operation, ALL)
        and not any(
            not denied.allows
            and denied.host == "*"
            and denied.operation in (operation, ALL)
            and denied.principal in (allowed.principal, _EVERYONE)
            for denied in about
        )
    }
