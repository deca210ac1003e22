"""Access tokens: short-lived JWTs that only this system reads (HS256, keyed by the key ring, RFC 7519).

They name the client and what it may do; whether the client has been revoked is looked at besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from domain.access import Role, Scope
from store.keys import KeyRing, KeyRingError

LIFETIME = timedelta(minutes=10)
ISSUER = "jiebang"
PURPOSE = "access-token"
ALGORITHMS = ["HS256"]
CLOCKS_DIFFER = timedelta(seconds=5)
"""Between two machines of ours."""


@dataclass(frozen=True)
class Access:
    """What a token says: the client it was given to, for whom, as what, for what; a citizen's names their one case."""

    client: str
    tenant: str
    role: Role
    scopes: frozenset[Scope]
    case: str = ""


def mint(keys: KeyRing, access: Access, now: datetime, lifetime: timedelta = LIFETIME) -> str:
    """A token by the ring's current key."""
    claims = {
        "iss": ISSUER,
        "sub": access.client,
        "tenant": access.tenant,
        "role": access.role.value,
        "scope": " ".join(sorted(access.scopes)),
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    } | ({"case": access.case} if access.case else {})
    header = {"alg": "HS256", "typ": "at+jwt", "kid": keys.current}
    return jwt.encode(header, claims, _key(keys, keys.current))


def read(keys: KeyRing, token: str, now: datetime) -> Access | None:
    """What a token says; None for one that is not ours, was changed, or is over."""
    try:
        found = jwt.decode(token, lambda one: _key(keys, str(one.headers().get("kid"))), algorithms=ALGORITHMS)
        claims = found.claims
        over = now.timestamp() >= float(claims["exp"]) or now < _moment(claims["iat"], now) - CLOCKS_DIFFER
        if claims["iss"] != ISSUER or over:
            return None
        return Access(
            client=str(claims["sub"]),
            tenant=str(claims["tenant"]),
            role=Role(claims["role"]),
            scopes=_known(str(claims["scope"]).split()),
            case=str(claims.get("case", "")),
        )
    except (JoseError, KeyRingError, ValueError, KeyError, TypeError):
        return None


def _moment(stamp: float, now: datetime) -> datetime:
    return datetime.fromtimestamp(float(stamp), now.tzinfo)


def _known(words: Iterable[str]) -> frozenset[Scope]:
    return frozenset(scope for scope in Scope if scope.value in set(words))


def _key(keys: KeyRing, key_id: str) -> OctKey:
    return _imported(keys.secret(PURPOSE, key_id))


@lru_cache(maxsize=16)
def _imported(secret: bytes) -> OctKey:
    return OctKey.import_key(secret)
