"""Plans: how much a tenant may have and do. A name and two numbers, copied into the record that gives a tenant its plan.

Guarantee: folds never read this catalogue. What a tenant was given stands in its own facts, so another catalogue, or a
deployment's own numbers (`UPSHOT_PLANS`), changes nobody's quotas before a plan is given anew.
Next: `definitions.py` holds the number of workflows to it, `runs/admission.py` the runs of a month.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.domain.errors import Flaw, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """None: unbounded."""

    workflows: int | None = None
    """Enabled at the same time. Disabled ones do nothing and count for nothing: that is how room is made."""
    runs_per_month: int | None = None
    """Admitted in a calendar month, UTC. Skipped runs count for nothing."""


UNBOUNDED = Quotas()

PLANS: Mapping[str, Quotas] = MappingProxyType(
    {
        "free": Quotas(workflows=5, runs_per_month=1_000),
        "team": Quotas(workflows=50, runs_per_month=50_000),
        "business": Quotas(workflows=500, runs_per_month=1_000_000),
        "unlimited": UNBOUNDED,
        # What tenants were given before there were quotas; nothing bounds those either.
        "standard": UNBOUNDED,
    }
)
"""What there is unless a deployment says otherwise."""

DEFAULT_PLAN = "unlimited"
"""Whoever runs Upshot for themselves sells no plans."""


def plans_of(own: Mapping[str, Quotas]) -> Mapping[str, Quotas]:
    """The catalogue of a deployment: what there is, with its own plans added and its own numbers instead."""
    return {**PLANS, **own}


def quotas_of(plan: str, plans: Mapping[str, Quotas]) -> Quotas:
    """What the plan of that name allows. Raises `InvalidInput` that names those there are."""
    found = plans.get(plan)
    if found is None:
        detail = f"there is no plan {plan!r}; there are: {', '.join(plans)}"
        raise InvalidInput("not a plan", [Flaw(pointer="PLAN", detail=detail)])
    return found
