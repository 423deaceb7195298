"""How much one tenant may send: a token bucket and a bound on what is on its way to the log. Pure: time comes in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`retry_after_seconds` None: come in."""

    retry_after_seconds: float | None = None
    reason: str | None = None


ADMITTED = Admission()


@dataclass(slots=True)
class _Tenant:
    tokens: float
    refilled_at: float
    on_its_way: int = 0


class TenantAdmission:
    """One tenant's excess is that tenant's 429 and delays nobody else. A tenant that has ever sent is one small entry."""

    def __init__(self, *, events_per_second: float, burst: int, backlog_max: int) -> None:
        self._rate = events_per_second
        self._burst = float(burst)
        self._backlog_max = backlog_max
        self._tenants: dict[str, _Tenant] = {}

    def look(self, tenant_id: str, now: float) -> Admission:
        """Whether a single event might come in, before anything of it is read. Takes no place."""
        tenant = self._tenants.get(tenant_id)
        return ADMITTED if tenant is None else self._within_rate(tenant, 1, now)

    def enter(self, tenant_id: str, events: int, now: float) -> Admission:
        """Take `events` places at `now` (seconds, monotonic); every admitted call is followed by `leave`."""
        tenant = self._tenant(tenant_id, now)
        if tenant.on_its_way + events > self._backlog_max and tenant.on_its_way:
            reason = f"{tenant.on_its_way} events of this tenant are on their way to the log; wait for them"
            return Admission(retry_after_seconds=1.0, reason=reason)
        admission = self._within_rate(tenant, events, now)
        if admission is ADMITTED:
            tenant.tokens -= events
            tenant.on_its_way += events
        return admission

    def charge(self, tenant_id: str, events: int, now: float) -> None:
        """For work that is done already and led to nothing; may leave a debt."""
        if events:
            self._tenant(tenant_id, now).tokens -= events

    def leave(self, tenant_id: str, events: int, now: float) -> None:
        """They are durable, or refused."""
        tenant = self._tenants[tenant_id]
        tenant.on_its_way -= events
        tokens = tenant.tokens + (now - tenant.refilled_at) * self._rate
        if not tenant.on_its_way and tokens >= self._burst:
            del self._tenants[tenant_id]

    def _tenant(self, tenant_id: str, now: float) -> _Tenant:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _Tenant(tokens=self._burst, refilled_at=now)
        return tenant

    def _within_rate(self, tenant: _Tenant, events: int, now: float) -> Admission:
        tenant.tokens = min(self._burst, tenant.tokens + (now - tenant.refilled_at) * self._rate)
        tenant.refilled_at = now
        # A batch larger than the burst must be able to pass some time: it needs a full bucket and leaves a debt.
        needed = min(float(events), self._burst)
        if tenant.tokens >= needed:
            return ADMITTED
        wait = (needed - tenant.tokens) / self._rate
        return Admission(retry_after_seconds=wait, reason=f"more than {self._rate:g} events a second")
