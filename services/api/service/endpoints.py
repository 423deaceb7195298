"""Making and switching endpoints: the URL judged before it is saved, the secret sealed before it enters a record."""

from dataclasses import dataclass

from services.api.service.commands import Commands, Intent, succeeded
from services.api.service.ports import ENDPOINT_SECRET, ApiDependencies
from services.api.service.tenants import current_tenant
from shared.domain.endpoint_secret import generate_endpoint_secret, parse_endpoint_secret
from shared.domain.ids import derive
from shared.domain.records import EndpointCreated
from shared.domain.verdicts import Verdict
from shared.runtime.egress import check_url

_DRAWN_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """What a tenant wants."""

    name: str
    url: str
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEndpoint:
    """`secret`: what the receiver verifies with, where it may be shown: to its maker, once.

    `public_key`: of an ed25519 pair that the tenant gave, what the receiver keeps.
    """

    verdict: Verdict | None
    secret: str | None
    public_key: str | None


def endpoint_id_of(intent: Intent) -> str:
    """Equal for every repetition of the command."""
    return derive("endpoint", intent.tenant_id, intent.command.id)


def public_key_of(secret: str | None) -> str | None:
    """Of an ed25519 pair that the tenant gave. Raises InvalidInput for a secret that cannot sign."""
    return parse_endpoint_secret(secret).public_key if secret else None


async def create_endpoint(it: ApiDependencies, commands: Commands, intent: Intent, wanted: NewEndpoint) -> MadeEndpoint:
    """Raises InvalidInput for a URL that may not be called, or a secret that cannot sign."""
    check_url(wanted.url, it.egress)
    secret = wanted.secret or generate_endpoint_secret(it.randomness.token_bytes(_DRAWN_SECRET_BYTES))
    public_key = public_key_of(secret)
    fact = EndpointCreated(
        endpoint_id=endpoint_id_of(intent),
        name=wanted.name,
        url=wanted.url,
        secrets=(await it.sealer.seal(intent.tenant_id, secret, ENDPOINT_SECRET),),
        command=intent.command,
    )
    verdict = await commands.carry_out(intent, fact)
    shown = await _is_ours(it, intent, fact, verdict)
    return MadeEndpoint(verdict=verdict, secret=secret if shown else None, public_key=public_key)


async def _is_ours(it: ApiDependencies, intent: Intent, fact: EndpointCreated, verdict: Verdict | None) -> bool:
    """Whether the endpoint that stands is this very record's, not that of an earlier try whose answer got lost.

    Sealing twice gives two texts, so equal ones are of one record. Without a verdict only a key that was drawn just now
    proves that there was no earlier try.
    """
    if verdict is None:
        return not intent.keyed
    if not succeeded(verdict):
        return False
    tenant = await current_tenant(it, intent.tenant_id)
    standing = tenant.endpoints.get(fact.endpoint_id)
    return standing is not None and standing.secrets == fact.secrets
