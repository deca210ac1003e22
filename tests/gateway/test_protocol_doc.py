"""The protocol document is what the doors are."""

from __future__ import annotations

from gateway.protocol_doc import FILE, make


def test_document_is_current() -> None:
    assert FILE.read_text() == make(), "run `python -m gateway.protocol_doc`"
