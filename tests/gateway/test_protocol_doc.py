"""The protocol document is what the doors are."""

from __future__ import annotations

from gateway.protocol_doc import FILE, make


def test_document_is_current() -> None:
    assert FILE.read_text() == make(), "run `python -m gateway.protocol_doc`"


def test_what_an_enterprise_gets_back_is_in_it() -> None:
    text = make()
    for word in ("next", "changed", "line", "token", "remedy"):
        assert f"- `{word}` (" in text
    for code in ("too_many_lines", "not_allowed", "webhook_id_reused", "forgotten"):
        assert f"| `{code}` |" in text
