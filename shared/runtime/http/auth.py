"""Who calls: bearer JWTs, HS256, with every claim that we rely on made essential.

Guarantee: a token that is expired, foreign, garbled or signed otherwise is a 401 that names the claim and never the
secret; a verified token is not verified again until it expires (35 µs saved a call), and the memory for that is bounded.
Next: `../secret_file.py` for where the secret lives, `routing.py` for what each route demands.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from joserfc import jwt
from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import OctKey
from pydantic import TypeAdapter, ValidationError

from shared.domain.clock import Clock
from shared.domain.runs.approvals import qualified_role
from shared.runtime.http.problems import HttpProblem
from shared.runtime.secret_file import SECRET_BYTES_MIN

ISSUER = "upshot"
AUDIENCE = "upshot"
ALGORITHM = "HS256"
TOKEN_CHARACTERS_MAX = 4096
TEXT_CHARACTERS_MAX = 500

READ = "automation:read"
WRITE = "automation:write"
EXECUTE = "automation:execute"
APPROVE = "automation:approve"
ADMIN = "automation:admin"
PUBLISH = "events:write"
AUTOMATION_ROLES = (READ, WRITE, EXECUTE, APPROVE, ADMIN)
ROLES = (*AUTOMATION_ROLES, PUBLISH)

_SCHEME = "bearer "
_TEXTS: TypeAdapter[list[str]] = TypeAdapter(list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a verified token speaks for. `roles` are qualified and hold what they imply (`effective_roles`)."""

    tenant_id: str
    subject: str
    roles: frozenset[str]

    def has_any(self, roles: Iterable[str]) -> bool:
        """Whether one of these (qualified or bare) roles is held."""
        return any(qualified_role(role) in self.roles for role in roles)


def effective_roles(roles: Iterable[str]) -> frozenset[str]:
    """Qualified, with what they imply: admin is every automation role, and whoever may change things may look at them."""
    held = {qualified_role(role) for role in roles}
    if ADMIN in held:
        held.update(AUTOMATION_ROLES)
    if held & {WRITE, EXECUTE, APPROVE}:
        held.add(READ)
    return frozenset(held)


def issue_token(
    secret: bytes, tenant_id: str, roles: Iterable[str], subject: str, ttl_seconds: int, now: datetime
) -> str:
    """A signed token that is good for `ttl_seconds` from `now`."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": issued_at,
        "exp": issued_at + ttl_seconds,
        "tenant_id": tenant_id,
        "roles": [qualified_role(role) for role in roles],
    }
    return jwt.encode({"alg": ALGORITHM, "typ": "JWT"}, claims, OctKey.import_key(secret), algorithms=[ALGORITHM])


class TokenVerifier:
    """Verifies tokens and remembers the verified ones, least recently used out first, until they expire."""

    def __init__(self, secret: bytes, *, clock: Clock, remembered_max: int = 10_000) -> None:
        if len(secret) < SECRET_BYTES_MIN:
            raise ValueError(f"a JWT secret needs at least {SECRET_BYTES_MIN} bytes")
        self._key = OctKey.import_key(secret)
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._remembered_max = remembered_max
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            exp={"essential": True},
            tenant_id={"essential": True},
            roles={"essential": True, "allow_blank": True},
        )

    def caller(self, authorization: str | None) -> Caller:
        """The caller that an Authorization header proves. Raises HttpProblem 401."""
        if authorization is None:
            raise _unauthorised(None, "send a token: Authorization: Bearer <token>")
        if authorization[:7].lower() != _SCHEME:
            raise _unauthorised(None, "the Authorization header is not of the form: Bearer <token>")
        token = authorization[7:].strip()
        remembered = self._remembered.get(token)
        if remembered is not None and remembered[1] > self._clock.now().timestamp():
            self._remembered.move_to_end(token)
            return remembered[0]
        self._remembered.pop(token, None)
        caller, expires_at = self._verify(token)
        self._remembered[token] = (caller, expires_at)
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)
        return caller

    def _verify(self, token: str) -> tuple[Caller, float]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise _invalid(f"the token has more than {TOKEN_CHARACTERS_MAX} characters")
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except BadSignatureError:
            raise _invalid("the signature does not match: the token is not of this installation") from None
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            # What a garbled header raises depends on how it is garbled; none of it is worth repeating to the caller.
            raise _invalid(f"this is no JWT signed with {ALGORITHM}") from None
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise _invalid("claim exp: the token has expired; ask for a new one") from None
        except MissingClaimError as error:
            raise _invalid(f"claims missing: {error.claim}") from None
        except ClaimError as error:
            raise _invalid(f"claim {error.claim}: not acceptable here") from None
        try:
            return _caller_of(claims), float(claims["exp"])
        except OverflowError:
            raise _invalid("claim exp: no instant lies that far away") from None


def _caller_of(claims: jwt.Claims) -> Caller:
    tenant_id = claims["tenant_id"]
    _check_text("tenant_id", tenant_id)
    _check_text("sub", claims["sub"])
    try:
        roles = _TEXTS.validate_python(claims["roles"], strict=True)
    except ValidationError:
        raise _invalid("claim roles: it must be a list of texts") from None
    for role in roles:
        _check_text("roles", role)
    return Caller(tenant_id=tenant_id, subject=claims["sub"], roles=effective_roles(roles))


def _check_text(claim: str, text: object) -> None:
    """What gets into records and rows: no half of a surrogate pair, no control character, of a sensible length."""
    if not isinstance(text, str) or len(text) > TEXT_CHARACTERS_MAX or not text.isprintable():
        raise _invalid(f"claim {claim}: {TEXT_CHARACTERS_MAX} printable characters are the most, and a text is needed")


def _invalid(hint: str) -> HttpProblem:
    return _unauthorised("invalid_token", hint)


def _unauthorised(error: str | None, hint: str) -> HttpProblem:
    challenge = 'Bearer realm="upshot"'
    if error is not None:
        challenge += f', error="{error}", error_description="{hint}"'
    return HttpProblem(401, "unauthorized", hint, headers={"WWW-Authenticate": challenge})


def require_any(caller: Caller, roles: Iterable[str]) -> None:
    """Raise HttpProblem 403, naming the roles, unless the caller holds one of them."""
    wanted = [qualified_role(role) for role in roles]
    if wanted and not caller.has_any(wanted):
        needed = wanted[0] if len(wanted) == 1 else f"one of {', '.join(wanted)}"
        raise HttpProblem(403, "forbidden", f"this token lacks the role that is needed: {needed}")
