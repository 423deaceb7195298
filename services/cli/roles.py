"""The roles that a token is given: those that routes ask for, and a tenant's own, which only its workflows' approvals ask for."""

from collections.abc import Sequence
from difflib import get_close_matches

from shared.domain.errors import Flaw, InvalidInput
from shared.runtime.http import ROLES

_PREFIX = "automation:"
_BARE = [role.removeprefix(_PREFIX) for role in ROLES]
"""As they are said most often; a bare one is of `automation`."""


def own_roles(given: Sequence[str]) -> list[str]:
    """Those that no route asks for. They are written out with their prefix, so that a typing error does not become one.

    Raises InvalidInput for a bare role that is not known.
    """
    unknown = [role for role in given if role not in _BARE and role not in ROLES]
    flaws = [Flaw(pointer="--role", detail=_mend(role)) for role in unknown if not _is_written_out(role)]
    if flaws:
        raise InvalidInput("no such role", flaws)
    return unknown


def _is_written_out(role: str) -> bool:
    prefix, _, name = role.partition(":")
    return bool(prefix and name)


def _mend(role: str) -> str:
    close = get_close_matches(role, _BARE, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"there is no role {role!r}; {hint}there are: {', '.join(_BARE)}. "
        f"One of your own, which a workflow's approval asks for, is written out: {_PREFIX}finance"
    )
