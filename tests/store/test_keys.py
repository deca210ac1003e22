"""The key ring: its file, its boxes, its seals and tokens, and what a rotation leaves as it was."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from store.keys import KeyRing, KeyRingError

NUMBER = "+8613800138000"


def test_a_saved_ring_is_loaded_as_it_was(keys: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "ring.json"
    ring = keys.rotated()
    ring.save(path)
    assert KeyRing.load(path) == ring
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["ring.json"]
    ring.rotated().save(path)
    assert KeyRing.load(path).current == "k3"


def test_a_ring_shows_no_key(keys: KeyRing) -> None:
    shown = repr(keys) + str(keys)
    for key in (*keys.keys.values(), keys.index):
        assert repr(key) not in shown and key.hex() not in shown


def test_a_missing_ring_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="JIEBANG_KEYS"):
        KeyRing.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "no json",
        "[]",
        "{}",
        '"ring"',
        json.dumps({"current": "k1", "keys": {}, "index": ""}),
        json.dumps({"current": "k1", "keys": [], "index": "AAAA"}),
        json.dumps({"current": "k1", "keys": {"k1": 7}, "index": "AAAA"}),
        json.dumps({"current": "k1", "keys": {"k1": "é"}, "index": "AAAA"}),
        json.dumps({"current": "k2", "keys": {"k1": "A" * 44}, "index": "A" * 44}),
        json.dumps({"current": ["k1"], "keys": {"k1": "A" * 43 + "="}, "index": "A" * 43 + "="}),
    ],
)
def test_a_damaged_ring_is_a_key_ring_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ring.json"
    path.write_text(damage)
    with pytest.raises(KeyRingError):
        KeyRing.load(path)


def test_boxes(keys: KeyRing) -> None:
    key_id, box = keys.lock("vault", b"clear", b"case")
    assert b"clear" not in box
    assert keys.unlock(key_id, "vault", box, b"case") == b"clear"
    assert keys.rotated().unlock(key_id, "vault", box, b"case") == b"clear"
    for purpose, bound_to in (("vault", b"other"), ("codec", b"case")):
        with pytest.raises(InvalidTag):
            keys.unlock(key_id, purpose, box, bound_to)
    with pytest.raises(KeyRingError, match="k9"):
        keys.unlock("k9", "vault", box, b"case")


def test_seals_name_their_key(keys: KeyRing) -> None:
    old = keys.seal("ledger", b"row")
    rotated = keys.rotated()
    assert old.startswith("k1:") and rotated.seal("ledger", b"row").startswith("k2:")
    assert rotated.seal("ledger", b"row", "k1") == old
    assert keys.seal("ledger", b"raw") != old != keys.seal("link", b"row")
    with pytest.raises(KeyRingError, match="k9"):
        keys.seal("ledger", b"row", "k9")


def test_a_rotation_never_replaces_a_key(keys: KeyRing) -> None:
    """Also not in a ring from which older keys were taken away."""
    three = keys.rotated().rotated()
    pruned = KeyRing("k3", {"k3": three.keys["k3"]}, three.index)
    for ring in (keys, three, pruned, pruned.rotated().rotated()):
        fresh = ring.rotated()
        assert fresh.current not in ring.keys
        assert {key_id: fresh.keys[key_id] for key_id in ring.keys} == dict(ring.keys)
        assert fresh.index == ring.index


def test_tokens_stay_through_a_rotation_and_differ_by_purpose_and_enterprise(keys: KeyRing) -> None:
    token = keys.token("number", NUMBER)
    assert token == keys.rotated().token("number", NUMBER)
    assert len(token) == 52
    assert token != keys.token("work-item", NUMBER) != KeyRing.new().token("work-item", NUMBER)
    assert keys.enterprise_token("tencent", NUMBER) != keys.enterprise_token("alibaba", NUMBER)
    assert keys.enterprise_token("tencent", NUMBER) == keys.rotated().enterprise_token("tencent", NUMBER)


def test_an_enterprise_can_compute_its_tokens_itself(keys: KeyRing) -> None:
    own = hmac.new(keys.token_key("tencent"), NUMBER.encode(), hashlib.sha256).hexdigest()
    assert own == keys.enterprise_token("tencent", NUMBER)
    assert keys.token_key("tencent") != keys.token_key("alibaba")
