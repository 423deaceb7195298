"""Who goes first: tenants in turn, and within a tenant its lanes (one an endpoint) in turn, each within its bounds.

Ten thousand waiting items of one tenant delay another tenant's single item by one turn. What hangs in one lane fills that
lane and nothing else. A tenant takes a place only while more are free than it holds, so that however many hold theirs for
ever, there is one for whoever holds none: one tenant gets half of all places, two get a third each, and so on.
All operations are O(1) in the number of waiting items; `take` grows with the places that are held, while few are free.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many items may be under way at once: in all, of one tenant, of one lane."""

    total: int
    per_tenant: int
    per_lane: int


@dataclass(slots=True)
class _Tenant(Generic[Item]):
    ready: OrderedDict[Hashable, None] = field(default_factory=OrderedDict)
    """Lanes with waiting items and room, next one first."""
    waiting: dict[Hashable, deque[Item]] = field(default_factory=dict)
    active: dict[Hashable, int] = field(default_factory=dict)
    active_total: int = 0


class FairQueue(Generic[Item]):
    """Waiting items by tenant and lane. `take` gives the next one whose bounds allow it; `done` gives its place back."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._tenants: dict[str, _Tenant[Item]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._active = 0
        self._waiting = 0

    def __len__(self) -> int:
        """How many are waiting."""
        return self._waiting

    @property
    def active(self) -> int:
        """How many have been taken and are not done."""
        return self._active

    def put(self, tenant_id: str, lane: Hashable, item: Item) -> None:
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        tenant.waiting.setdefault(lane, deque()).append(item)
        self._waiting += 1
        self._refresh(tenant_id, tenant, lane)

    def take(self) -> tuple[str, Hashable, Item] | None:
        """The next item with its tenant and lane, or None: nothing waits, or nothing may start."""
        free = self._bounds.total - self._active
        if not free:
            return None  # or every tenant that waits would be asked
        tenant_id = self._first_with_less_than(free)
        if tenant_id is None:
            return None
        del self._ready[tenant_id]
        tenant = self._tenants[tenant_id]
        lane, _ = tenant.ready.popitem(last=False)
        item = tenant.waiting[lane].popleft()
        if not tenant.waiting[lane]:
            del tenant.waiting[lane]
        tenant.active[lane] = tenant.active.get(lane, 0) + 1
        tenant.active_total += 1
        self._active += 1
        self._waiting -= 1
        self._refresh(tenant_id, tenant, lane)
        return tenant_id, lane, item

    def done(self, tenant_id: str, lane: Hashable) -> None:
        """An item that was taken has ended."""
        tenant = self._tenants[tenant_id]
        tenant.active[lane] -= 1
        if not tenant.active[lane]:
            del tenant.active[lane]
        tenant.active_total -= 1
        self._active -= 1
        self._refresh(tenant_id, tenant, lane)
        if not tenant.waiting and not tenant.active_total:
            self._ready.pop(tenant_id, None)
            del self._tenants[tenant_id]

    def _first_with_less_than(self, active: int) -> str | None:
        for tenant_id in self._ready:
            if self._tenants[tenant_id].active_total < active:
                return tenant_id
        return None

    def _refresh(self, tenant_id: str, tenant: _Tenant[Item], lane: Hashable) -> None:
        """Put the lane and its tenant at the end of their turns, or out of them."""
        if lane in tenant.waiting and tenant.active.get(lane, 0) < self._bounds.per_lane:
            tenant.ready.setdefault(lane, None)
        else:
            tenant.ready.pop(lane, None)
        if tenant.ready and tenant.active_total < self._bounds.per_tenant:
            self._ready.setdefault(tenant_id, None)
        else:
            self._ready.pop(tenant_id, None)
