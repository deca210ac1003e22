"""A whole renewal with a known number, name and ID tail: none of them is anywhere but in the vault, encrypted."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from runtime.api import Api, ApiError
from runtime.stack import Stack
from tests.chaos.conftest import CHANGING, until

NUMBER = "13987651234"
TAIL = "17482X"
NAME = "欧阳解绑测试"
OUTSIDE = ("sms.jsonl", "mail.jsonl")
"""What the holder's phone and the enterprises' mailboxes got: the outside world's, not ours."""


def traces() -> Iterator[tuple[str, bytes]]:
    """Every form in which the number, the name or the tail could have slipped out."""
    clear = [NUMBER, f"+86{NUMBER}", f"86{NUMBER}", TAIL, NAME, f"{NUMBER}{TAIL}", f"+86{NUMBER}{TAIL}"]
    for text in clear:
        raw = text.encode()
        yield f"{text} raw", raw
        yield f"{text} UTF-16", text.encode("utf-16-be")
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + raw)
            whole = coded[(4 if shift else 0) : len(coded) - 4]
            if len(whole) >= 6:
                yield f"{text} base64 at {shift}", whole
        for algorithm in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
            digest = hashlib.new(algorithm, raw).digest()
            yield f"{text} {algorithm}", digest
            yield f"{text} {algorithm} hex", digest.hex().encode()
            yield f"{text} {algorithm} base64", base64.b64encode(digest)[:-4]


@pytest.mark.timeout(180)
def test_no_trace_of_the_person_outside_the_vault(stack: Stack) -> None:
    with stack:
        api = Api.from_folder(stack.folder, None, None)
        with pytest.raises(ApiError, match="no field name") as refused:
            _with_name(api)
        assert NAME not in str(refused.value)
        with pytest.raises(ApiError):
            api.renew(NUMBER + "0", datetime.now(UTC), None, TAIL, datetime.now(UTC), "malformed")
        apps = [a["app"] for a in api.apps() if a["enterprise"].rpartition("-")[0] not in CHANGING]
        now = datetime.now(UTC)
        case = api.renew(NUMBER, now - timedelta(days=60), apps, TAIL, now, "privacy-test")
        until(lambda: api.show(case)["status"] == "summary_sent", limit=90)
        metrics = httpx.get(f"http://127.0.0.1:{stack.ports.metrics}/metrics", trust_env=False).content
        seen = httpx.get(f"{stack.world}/world/state", trust_env=False).json()
        urls = "\n".join(seen["urls"]).encode()
        shown = repr(api.show(case)).encode()
    assert b"temporal_workflow_completed" in metrics or b"temporal_" in metrics
    assert urls.count(b"\n") > 100, "the world has written down which URLs were called"
    places = {"metrics": metrics, "URLs": urls, "what the carrier is shown": shown}
    places |= {str(path.relative_to(stack.folder)): path.read_bytes() for path in _files(stack.folder)}
    assert {"temporal.db", "jiebang.db", "logs/worker.log", "logs/gateway.log"} <= places.keys()
    found = [
        f"{what} in {where}" for where, content in places.items() for what, trace in traces() if trace in content
    ]
    assert not found
    assert case.encode() in places["jiebang.db"] + places.get("jiebang.db-wal", b""), (
        "the scan reads what was written"
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in OUTSIDE]


def _with_name(api: Api) -> None:
    api.call(
        "POST",
        "/v1/renewals",
        json={
            "number": NUMBER,
            "id_tail": TAIL,
            "name": NAME,
            "activated_at": "2026-08-01T00:00:00Z",
            "identity": {"checked_by": "x", "method": "counter", "checked_at": "2026-08-01T00:00:00Z"},
        },
        headers={"idempotency-key": "named"},
    )
