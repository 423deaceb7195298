"""Bearer tokens: what is taken, what is refused with which hint, and that remembering them forgets in time."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from shared.domain.errors import InvalidInput
from shared.runtime.http.auth import TokenVerifier, effective_roles, issue_token
from shared.runtime.http.problems import HttpProblem
from shared.runtime.secret_file import jwt_secret, load_or_create

SECRET = b"a secret for tests, long enough."


def signed(now: float, secret: bytes = SECRET, drop: str = "", **changed: object) -> str:
    claims = {
        "iss": "upshot",
        "aud": "upshot",
        "sub": "s",
        "exp": int(now) + 60,
        "tenant_id": "acme",
        "roles": ["read"],
    }
    claims |= changed
    claims.pop(drop, None)
    return "Bearer " + jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))


def refusal(verifier: TokenVerifier, header: str | None) -> HttpProblem:
    with pytest.raises(HttpProblem) as caught:
        verifier.caller(header)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith('Bearer realm="upshot"')
    assert SECRET.decode() not in str(caught.value)
    return caught.value


def test_an_issued_token_is_taken_until_it_expires(clock):
    verifier = TokenVerifier(SECRET, clock=clock)
    header = "bearer " + issue_token(SECRET, "acme", ["approve"], "ada", 60, clock.now())
    caller = verifier.caller(header)
    assert (caller.tenant_id, caller.subject) == ("acme", "ada")
    assert caller.roles == {"automation:approve", "automation:read"}
    assert verifier.caller(header) is caller
    clock.advance(60)
    assert "exp" in refusal(verifier, header).detail


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"exp": 1}, "claim exp"),
        ({"exp": float("1e300")}, None),
        ({"exp": "soon"}, "claim exp"),
        ({"exp": 10**400}, "claim exp"),
        ({"iss": "elsewhere"}, "claim iss"),
        ({"aud": "other"}, "claim aud"),
        ({"aud": ["other"]}, "claim aud"),
        ({"nbf": 4e9}, "claim nbf"),
        ({"sub": ""}, "claim sub"),
        ({"tenant_id": ""}, "claim tenant_id"),
        ({"tenant_id": 7}, "claim tenant_id"),
        ({"tenant_id": "a\0b"}, "claim tenant_id"),
        ({"sub": "a\0b"}, "claim sub"),
        ({"sub": "x" * 501}, "claim sub"),
        ({"roles": ["read", "a\0b"]}, "claim roles"),
        ({"roles": "read"}, "claim roles"),
        ({"roles": [1]}, "claim roles"),
        *(({"drop": name}, f"missing: {name}") for name in ("iss", "aud", "sub", "exp", "tenant_id", "roles")),
    ],
)
def test_the_claim_that_fails_is_named(clock, changed, hint):
    verifier = TokenVerifier(SECRET, clock=clock)
    header = signed(clock.now().timestamp(), **changed)
    if hint is None:
        assert verifier.caller(header).tenant_id == "acme"
    else:
        assert hint in refusal(verifier, header).detail


def test_tokens_of_others_and_of_no_algorithm_are_refused(clock):
    verifier = TokenVerifier(SECRET, clock=clock)
    assert (
        "signature"
        in refusal(verifier, signed(clock.now().timestamp(), secret=b"another secret, as long as it")).detail
    )

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    for algorithm in ("none", "HS512", "RS256"):
        forged = f"Bearer {part({'alg': algorithm})}.{part({'tenant_id': 'acme'})}."
        refusal(verifier, forged)
    deep = base64.urlsafe_b64encode(b"[" * 2500).decode().rstrip("=")
    refusal(verifier, f"Bearer {deep}.e30.e30")
    refusal(verifier, "Bearer " + "a" * 5000)
    refusal(verifier, "Basic YTpi")
    refusal(verifier, None)


@given(
    st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".e30.e30")
)
def test_garbage_is_a_401_and_never_another_exception(garbage):
    from datetime import UTC, datetime

    class Fixed:
        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

        def monotonic(self) -> float:
            return 0.0

    refusal(TokenVerifier(SECRET, clock=Fixed()), f"Bearer {garbage}")


def test_the_memory_for_verified_tokens_is_bounded(clock):
    verifier = TokenVerifier(SECRET, clock=clock, remembered_max=3)
    headers = [signed(clock.now().timestamp(), sub=f"s{n}") for n in range(5)]
    first = [verifier.caller(header) for header in headers]
    assert verifier.caller(headers[4]) is first[4]
    assert verifier.caller(headers[0]) is not first[0]
    assert len(verifier._remembered) == 3


def test_roles_imply_others():
    assert effective_roles(["admin"]) == {
        f"automation:{name}" for name in ("read", "write", "execute", "approve", "admin")
    }
    assert effective_roles(["execute"]) == {"automation:read", "automation:execute"}
    assert effective_roles(["events:write"]) == {"events:write"}
    assert effective_roles(["finance"]) == {"automation:finance"}


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path, randomness):
    first = jwt_secret(None, tmp_path / "data", randomness)
    path = tmp_path / "data" / "jwt-secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(first) >= 32
    assert jwt_secret(None, tmp_path / "data", randomness) == first
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["jwt-secret"]
    assert jwt_secret("given by the operator", tmp_path, randomness) == b"given by the operator"
    path.write_text("short")
    with pytest.raises(InvalidInput):
        load_or_create(path, randomness)
