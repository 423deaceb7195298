"""Settings of a source: checked once when a tenant saves them, read again wherever a delivery comes in.

Next: `shared/domain/errors.py` for how flaws reach the caller.
"""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from services.ingest.sources import AnySource, SourceSettings, discover
from services.ingest.sources.reading import event_type
from shared.domain import catalogue
from shared.domain.errors import Flaw, InvalidInput

_OWN_NAME = "upshot"


def source_of(vendor: str) -> AnySource:
    """The vendor's source. Raises InvalidInput that lists the vendors there are."""
    found = discover().get(vendor)
    if found is None:
        known = ", ".join(sorted(discover()))
        raise InvalidInput("No such vendor.", [Flaw(pointer="#/vendor", detail=f"{vendor!r} is none of {known}")])
    return found


def read_settings(vendor: str, settings: Mapping[str, object]) -> SourceSettings:
    """Settings as they were saved. Raises InvalidInput with a flaw per field."""
    try:
        return source_of(vendor).settings_model.model_validate(dict(settings))
    except ValidationError as error:
        raise InvalidInput("The source's settings are not usable.", [_flaw(each) for each in _errors(error)]) from None


def configure(
    vendor: str,
    *,
    source_name: str,
    settings: Mapping[str, object],
    secrets: Sequence[str],
    allow_unsigned: bool,
) -> SourceSettings:
    """What a tenant wants to save, checked whole. Raises InvalidInput that names every flaw.

    `allow_unsigned` is the operator's `UPSHOT_ALLOW_UNSIGNED_SOURCES`: without it a source that anybody on the network
    could write to is refused.
    """
    source = source_of(vendor)
    usable = read_settings(vendor, settings)
    flaws = []
    if not usable.signed and not allow_unsigned:
        flaws.append(
            Flaw(
                pointer="#/settings",
                detail="deliveries would not be authenticated; give signature or path_token "
                "(an operator may allow it with UPSHOT_ALLOW_UNSIGNED_SOURCES)",
            )
        )
    if usable.secret_required and not any(secrets):
        flaws.append(Flaw(pointer="#/secret", detail="the source needs a secret"))
    for secret in filter(None, secrets):
        if (wrong := source.check_secret(secret)) is not None:
            flaws.append(Flaw(pointer="#/secret", detail=wrong))
    if source.names_types_by_source and (first := event_type(source_name).split(".")[0]) in _reserved_words():
        flaws.append(
            Flaw(
                pointer="#/name",
                detail=f"its event types would begin with {first!r}, which the platform's own types do; rename it",
            )
        )
    if flaws:
        raise InvalidInput("The source is not usable.", flaws)
    return usable


def _reserved_words() -> set[str]:
    """First words of event types that mean something already: nobody's source may forge those."""
    platform = {each.name.split(".")[0] for each in catalogue.all_types()}
    vendors = {vendor for vendor, source in discover().items() if not source.names_types_by_source}
    return platform | vendors | {_OWN_NAME}


def _errors(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    return [(each["loc"], each["msg"]) for each in error.errors(include_url=False, include_input=False)]


def _flaw(error: tuple[tuple[int | str, ...], str]) -> Flaw:
    where, what = error
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in where)
    return Flaw(pointer="/".join(("#", "settings", *steps)), detail=what)
