"""`upshot token --role`: a typing error is told, and a role of a tenant's own is written out."""

import pytest

from services.cli.roles import own_roles
from shared.domain.errors import InvalidInput
from shared.runtime.http import ROLES


def test_what_routes_ask_for_is_known_bare_or_written_out():
    assert own_roles([*ROLES, "read", "write", "execute", "approve", "admin"]) == []


def test_a_role_of_ones_own_is_written_out():
    assert own_roles(["read", "automation:finance", "hr:lead"]) == ["automation:finance", "hr:lead"]


@pytest.mark.parametrize(("role", "hint"), [("reed", "'read'"), ("Admin", "'admin'"), ("aprove", "'approve'")])
def test_a_typing_error_names_what_was_meant(role, hint):
    with pytest.raises(InvalidInput) as refused:
        own_roles(["read", role])
    (flaw,) = refused.value.flaws
    assert f"there is no role {role!r}; did you mean {hint}?" in flaw.detail
    assert "read, write, execute, approve, admin, events:write" in flaw.detail


@pytest.mark.parametrize("role", ["", ":", "automation:", ":read", "finance"])
def test_others_are_refused(role):
    with pytest.raises(InvalidInput, match="no role"):
        own_roles([role])
