"""Making sources: settings judged by the vendor's own plug-in, secrets sealed before they enter a record."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.api.service.commands import Commands, Intent, succeeded
from services.api.service.ports import SOURCE_SECRET, ApiDependencies
from services.api.service.tenants import current_tenant
from services.ingest.sources import discover
from services.ingest.sources.configure import configure
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import derive
from shared.domain.records import SourceCreated
from shared.domain.verdicts import Verdict
from shared.runtime.http import HttpProblem

_DRAWN_TOKEN_BYTES = 24
_PATH_TOKEN = re.compile(r"[A-Za-z0-9._:~-]{16,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSource:
    """What a tenant wants."""

    name: str
    vendor: str
    secret: str | None
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSource:
    """`path_token`: what the hook's URL ends with, where it has one and it may be shown: to its maker, once."""

    verdict: Verdict | None
    path_token: str | None


def source_id_of(intent: Intent) -> str:
    """Equal for every repetition of the command."""
    return derive("source", intent.tenant_id, intent.command.id)


def hook_url(public_url: str, source_id: str, path_token: str | None = None) -> str:
    """Where the vendor delivers to."""
    return f"{public_url}/hooks/{source_id}" + (f"/{path_token}" if path_token is not None else "")


def check_path_token(secret: str) -> None:
    """Raises InvalidInput where a secret cannot stand in a URL."""
    if not _PATH_TOKEN.fullmatch(secret):
        detail = "it stands in the URL: use 16 to 200 letters, digits and . _ : ~ -, or leave it out to have one made"
        raise InvalidInput("The secret is not usable.", [Flaw(pointer="#/secret", detail=detail)])


async def create_source(it: ApiDependencies, commands: Commands, intent: Intent, wanted: NewSource) -> MadeSource:
    """Raises InvalidInput with every flaw, HttpProblem 400 for an unknown vendor."""
    known = sorted(discover())
    if wanted.vendor not in known:
        detail = f"there is no vendor {wanted.vendor[:100]!r}; known are: {', '.join(known)}"
        flaw = Flaw(pointer="#/vendor", detail=detail)
        raise HttpProblem(400, "unknown-vendor", detail, flaws=[flaw], members={"known": known})
    token_in_path = wanted.settings.get("path_token") is True
    secret = wanted.secret
    if token_in_path and secret is None:
        secret = it.randomness.token_bytes(_DRAWN_TOKEN_BYTES).hex()
    if token_in_path and secret is not None:
        check_path_token(secret)
    secrets = [secret] if secret is not None else []
    settings = configure(
        wanted.vendor,
        source_name=wanted.name,
        settings=wanted.settings,
        secrets=secrets,
        allow_unsigned=it.allow_unsigned_sources,
    )
    fact = SourceCreated(
        source_id=source_id_of(intent),
        name=wanted.name,
        vendor=wanted.vendor,
        settings=settings.model_dump(mode="json"),
        secrets=tuple([await it.sealer.seal(intent.tenant_id, each, SOURCE_SECRET) for each in secrets]),
        command=intent.command,
    )
    verdict = await commands.carry_out(intent, fact)
    shown = token_in_path and await _is_ours(it, intent, fact, verdict)
    return MadeSource(verdict=verdict, path_token=secret if shown else None)


async def _is_ours(it: ApiDependencies, intent: Intent, fact: SourceCreated, verdict: Verdict | None) -> bool:
    """Whether the source that stands is this very record's: sealing the same secret twice gives two texts."""
    if verdict is None:
        return not intent.keyed
    if not succeeded(verdict):
        return False
    tenant = await current_tenant(it, intent.tenant_id)
    standing = tenant.sources.get(fact.source_id)
    return standing is not None and standing.secrets == fact.secrets
