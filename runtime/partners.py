"""Partners' credentials: a bearer token (kept as a digest) and a webhook secret for everybody who may come in.

One JSON file (`JIEBANG_PARTNERS`). `issue` makes a fresh set and hands the clear tokens back once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, ValidationError, model_validator

from domain.case import Model
from domain.casework import WORKER_CODE
from domain.registry import Registry
from store.keys import KeyRing


class PartnersError(ValueError):
    """The partners' file does not fit: says why and what to do."""


class PartnerKind(StrEnum):
    """Which doors a partner may use."""

    CARRIER = "carrier"
    ENTERPRISE = "enterprise"
    CHANNEL = "channel"
    CASE_WORKER = "case_worker"
    SUPERVISOR = "supervisor"


class Partner(Model):
    """One partner: who, and how they prove it."""

    code: str
    kind: PartnerKind
    token_digest: str
    secret: str


class Partners(Model):
    """Everybody we know."""

    partners: tuple[Partner, ...]

    _by_code: dict[str, Partner] = PrivateAttr(default_factory=dict)
    _by_digest: dict[str, Partner] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _indexed(self) -> Self:
        self._by_code.update((partner.code, partner) for partner in self.partners)
        self._by_digest.update((partner.token_digest, partner) for partner in self.partners)
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises PartnersError."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise PartnersError(f"there is no partners' file at {path}: set JIEBANG_PARTNERS") from error
        except ValidationError as error:
            raise PartnersError(f"the partners' file at {path} is damaged: restore it") from error

    def save(self, path: Path) -> None:
        """For the owner's eyes only."""
        private(path, self.model_dump_json(indent=1))

    def secret(self, code: str) -> str | None:
        """A partner's webhook secret; None for one without credentials."""
        partner = self._by_code.get(code)
        return partner.secret if partner else None

    def by_token(self, token: str) -> Partner | None:
        """Whose token this is. How long the look-up takes tells about a digest only, which leads back to no token."""
        return self._by_digest.get(token_digest(token))


def token_digest(token: str) -> str:
    """Tokens are 256 random bits, so a plain SHA-256 of one cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()


def private(path: Path, text: str) -> None:
    """Write a file only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


class Issued(Model):
    """What a partner is handed, once. `token_key` (hex) lets an enterprise compute its users' tokens."""

    token: str
    secret: str
    token_key: str = ""


def issue(code: str, kind: PartnerKind, keys: KeyRing) -> tuple[Partner, Issued]:
    """Fresh credentials for one partner."""
    token = secrets.token_urlsafe(32)
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    partner = Partner(code=code, kind=kind, token_digest=token_digest(token), secret=secret)
    token_key = keys.token_key(code).hex() if kind is PartnerKind.ENTERPRISE else ""
    return partner, Issued(token=token, secret=secret, token_key=token_key)


def add_partner(code: str, registry: Registry, keys: KeyRing, book: Path) -> Issued:
    """Issue credentials to a partner of the registry and write them into the book, in place of older ones.

    Raises PartnersError for a code nobody has, and for a carrier that could not take part.
    """
    kinds = _kinds(registry)
    if code not in kinds:
        raise PartnersError(f"the registry has no carrier or enterprise {code}: add it there first")
    if kinds[code] is PartnerKind.CARRIER and not registry.carrier(code).takes_part:
        raise PartnersError(f"carrier {code} needs endpoint and results in the registry: add them there first")
    partner, issued = issue(code, kinds[code], keys)
    others = [other for other in _known(book) if other.code != code]
    Partners(partners=(*others, partner)).save(book)
    return issued


def add_person(code: str, kind: PartnerKind, keys: KeyRing, book: Path) -> Issued:
    """Issue a token to a channel, a case worker or a supervisor, in place of an older one of the same code.

    Raises PartnersError for a code the ledger could not name them by, and for one that a partner of another kind has.
    """
    if not re.fullmatch(WORKER_CODE, code):
        raise PartnersError(f"{code!r} is no code: lower-case letters, digits and hyphens, such as worker-chen")
    known = _known(book)
    if any(other.code == code and other.kind is not kind for other in known):
        raise PartnersError(f"{code} is the code of another kind of partner: choose another")
    partner, issued = issue(code, kind, keys)
    Partners(partners=(*(other for other in known if other.code != code), partner)).save(book)
    return issued


SANDBOX_PEOPLE: Mapping[str, PartnerKind] = {
    "mini-program": PartnerKind.CHANNEL,
    "worker-chen": PartnerKind.CASE_WORKER,
    "worker-lin": PartnerKind.CASE_WORKER,
    "supervisor-wu": PartnerKind.SUPERVISOR,
}
"""Who works at the sandbox's case desk, and the channel its citizens come through."""


def issue_missing(registry: Registry, keys: KeyRing, book: Path, handed_out: Path) -> None:
    """Credentials for everybody in a sandbox who has none: digests into the book, clear ones for the world outside."""
    partners = _known(book)
    clear = json.loads(handed_out.read_text()) if handed_out.exists() else {}
    for kind in PartnerKind:
        clear.setdefault(f"{kind.value}s", {})
    have = {partner.code for partner in partners}
    idle = {carrier.code for carrier in registry.carriers if not carrier.takes_part}
    for code, kind in {**_kinds(registry), **SANDBOX_PEOPLE}.items():
        if code not in have | idle:
            partner, issued = issue(code, kind, keys)
            partners.append(partner)
            clear[f"{kind.value}s"][code] = issued.model_dump()
    Partners(partners=tuple(partners)).save(book)
    private(handed_out, json.dumps(clear))


def _kinds(registry: Registry) -> dict[str, PartnerKind]:
    carriers = {carrier.code: PartnerKind.CARRIER for carrier in registry.carriers}
    return carriers | {enterprise.code: PartnerKind.ENTERPRISE for enterprise in registry.enterprises}


def _known(book: Path) -> list[Partner]:
    return list(Partners.load(book).partners) if book.exists() else []
