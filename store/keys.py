"""The key ring: one secret per purpose, derived from master keys that rotate.

A ring is a small JSON file (`JIEBANG_KEYS`), readable by its owner only. New boxes are locked with the current
key, old ones opened with the key they name. `index` never rotates: it keys the tokens numbers are found by.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from base64 import b32encode, b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12


class KeyRingError(ValueError):
    """The key ring cannot be used: says why and what to do."""


@lru_cache(maxsize=4096)
def _derive(master: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(master)


@lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


@dataclass(frozen=True)
class KeyRing:
    """Master keys by id, which of them is current, and the index key."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    index: bytes = field(repr=False)
    sandbox: bool = False
    """Made for the sandbox; a rotation does not change that, since the index key stays."""

    @classmethod
    def new(cls, *, sandbox: bool = False) -> KeyRing:
        """A ring with one fresh key."""
        return cls("k1", {"k1": secrets.token_bytes(KEY_BYTES)}, secrets.token_bytes(KEY_BYTES), sandbox)

    def rotated(self) -> KeyRing:
        """The same ring with a fresh current key; older ones stay to open what they locked."""
        fresh = f"k{max((int(k[1:]) for k in self.keys if k[1:].isdecimal()), default=0) + 1}"
        return KeyRing(fresh, {**self.keys, fresh: secrets.token_bytes(KEY_BYTES)}, self.index, self.sandbox)

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """Read a ring. Raises KeyRingError."""
        try:
            data = json.loads(path.read_text())
            ring = cls(
                data["current"],
                {key_id: b64decode(key) for key_id, key in data["keys"].items()},
                b64decode(data["index"]),
                data.get("sandbox") is True,
            )
        except FileNotFoundError as error:
            raise KeyRingError(f"there is no key ring at {path}: set JIEBANG_KEYS or run `starter.py up`") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeyRingError(f"the key ring at {path} is damaged: restore it from your backup") from error
        if (
            not isinstance(ring.current, str)
            or ring.current not in ring.keys
            or any(len(key) != KEY_BYTES for key in (*ring.keys.values(), ring.index))
        ):
            raise KeyRingError(f"the key ring at {path} is incomplete: restore it from your backup")
        return ring

    def save(self, path: Path) -> None:
        """Write the ring for its owner's eyes only, all or nothing."""
        data = {
            "current": self.current,
            "keys": {key_id: b64encode(key).decode() for key_id, key in self.keys.items()},
            "index": b64encode(self.index).decode(),
            **({"sandbox": True} if self.sandbox else {}),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(data, file)
        fresh.replace(path)

    # ── boxes: AES-256-GCM ───────────────────────────────────────────────────────────────────────────

    def lock(self, purpose: str, clear: bytes, bound_to: bytes = b"") -> tuple[str, bytes]:
        """Encrypt with the current key: its id, and nonce + ciphertext. `bound_to` must be the same at opening."""
        nonce = os.urandom(NONCE_BYTES)
        return self.current, nonce + self._box(self.current, purpose).encrypt(nonce, clear, bound_to)

    def unlock(self, key_id: str, purpose: str, box: bytes, bound_to: bytes = b"") -> bytes:
        """Decrypt. Raises KeyRingError for an unknown key, cryptography.exceptions.InvalidTag for a changed box."""
        return self._box(key_id, purpose).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], bound_to)

    def _box(self, key_id: str, purpose: str) -> AESGCM:
        if key_id not in self.keys:
            raise KeyRingError(f"the key ring has no key {key_id}: restore the ring that had it")
        return _cipher(_derive(self.keys[key_id], purpose))

    def secret(self, purpose: str, key_id: str | None = None) -> bytes:
        """32 bytes for a library that keys its own HMAC, by the current key or the one named. Raises KeyRingError."""
        key_id = key_id or self.current
        if key_id not in self.keys:
            raise KeyRingError(f"the key ring has no key {key_id}: restore the ring that had it")
        return _derive(self.keys[key_id], purpose)

    # ── seals and tokens: HMAC-SHA-256 ───────────────────────────────────────────────────────────────

    def seal(self, purpose: str, data: bytes, key_id: str | None = None) -> str:
        """`k1:hex`: a keyed digest that names its key, so that it can be checked after a rotation."""
        key_id = key_id or self.current
        if key_id not in self.keys:
            raise KeyRingError(f"the key ring has no key {key_id}: restore the ring that had it")
        return f"{key_id}:{hmac.new(_derive(self.keys[key_id], purpose), data, hashlib.sha256).hexdigest()}"

    def token(self, purpose: str, value: str) -> str:
        """A stable keyed token of a value, 52 base-32 characters; the same value gives another one per purpose."""
        digest = hmac.new(_derive(self.index, purpose), value.encode(), hashlib.sha256).digest()
        return b32encode(digest).decode().rstrip("=")

    def token_key(self, enterprise: str) -> bytes:
        """The key an enterprise gets to compute the tokens of its own users' numbers."""
        return _derive(self.index, f"enterprise/{enterprise}")

    def enterprise_token(self, enterprise: str, e164: str) -> str:
        """What an enterprise finds the number by: lower-case hex HMAC-SHA-256 of the E.164 number under its key."""
        return hmac.new(self.token_key(enterprise), e164.encode(), hashlib.sha256).hexdigest()
