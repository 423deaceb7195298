"""Who may do what to the log's topics on a broker that others use, too: pure judgements over its access control list.

Upshot's own principals write everything. Others may append to `upshot.events` and nothing else: whoever writes
`upshot.definitions` or `upshot.runs` could make workflows, approvals and runs of any tenant, and nobody could tell.
Superusers of the broker (`super.users`) are in no list: brokers do not tell of them.
"""

from collections.abc import Collection, Iterable, Sequence

from services.cli.findings import Finding
from shared.bus.adapters.kafka.access import ALL, DELETING, WRITE, Access, AclBinding
from shared.bus.topics import DEADLETTERS, DEFINITIONS, EVENTS, RUNS

RESERVED = (DEFINITIONS, RUNS, DEADLETTERS)
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
    writers = sorted(_able(access.bindings, prefix + EVENTS, (WRITE,)) - set(own))
    found.append(
        Finding(level="ok", what=f"{prefix}{EVENTS} may also be written by {', '.join(writers) or 'nobody else'}")
    )
    return found


def _who_should_not(bindings: Sequence[AclBinding], own: Collection[str], prefix: str) -> Iterable[Finding]:
    for topic in (*RESERVED, EVENTS):
        # Who may delete records or change settings of the log of record can make it forget.
        forbidden = DELETING if topic == EVENTS else (WRITE, *DELETING)
        for principal in sorted(_able(bindings, prefix + topic, forbidden) - set(own)):
            rules = [
                each for each in bindings if each.principal == principal and each.allows and each.covers(prefix + topic)
            ]
            rule = next(each for each in rules if each.operation in (*forbidden, ALL))
            who = "everybody" if principal == _EVERYONE else principal
            what = f"{who} may {rule.operation} {prefix}{topic}, by the rule for {rule.pattern.lower()} {rule.name}"
            mend = (
                f"kafka-acls --remove --allow-principal {principal} --operation {rule.operation} --topic '{rule.name}' "
                f"--resource-pattern-type {rule.pattern.lower()}"
            )
            yield Finding(level="fail", what=what, mend=mend)


def _without_any_rule(bindings: Sequence[AclBinding], prefix: str) -> Iterable[Finding]:
    for topic in (*RESERVED, EVENTS):
        if not any(each.covers(prefix + topic) for each in bindings):
            mend = (
                "give Upshot's principals All on it; with allow.everyone.if.no.acl.found=true it is open to everybody"
            )
            yield Finding(level="warn", what=f"no rule names {prefix}{topic}", mend=mend)


def _able(bindings: Sequence[AclBinding], topic: str, operations: Collection[str]) -> set[str]:
    """The principals that may do any of these; a denial for every host outweighs what allows."""
    about = [each for each in bindings if each.covers(topic)]
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
