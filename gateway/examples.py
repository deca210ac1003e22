"""Examples for the OpenAPI: made from the schemas, with a word for every kind of text, so that none is ever forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

REFERENCES = {
    "renewals": "R0123456789AB",
    "queries": "Q0123456789AB",
    "disputes": "D0123456789AB",
    "investigations": "X0123456789AB",
    "complaints": "C0123456789AB",
    "numbers": "N0123456789AB",
    "identity-checks": "K0123456789AB",
}
"""A reference, by the second word of a path."""

WORDS: Mapping[str, str] = {
    "about": "R0123456789AB",
    "access_token": "eyJhbGciOiJIUzI1NiJ9.…",
    "actor": "case_worker:worker-chen",
    "after": "",
    "app": "wechat",
    "apps": "wechat",
    "assignee": "worker-chen",
    "attachments": "doc-17",
    "batch": "B0123456789AB",
    "by": "worker-chen",
    "certificate": "",
    "channel": "mini-program",
    "check": "K0123456789AB",
    "client": "tencent-2",
    "client_id": "tencent-2",
    "client_secret": "the secret you were given",
    "code": "worker-chen",
    "conclusion": "",
    "csrf": "a token of the session",
    "declined": "",
    "detail": "queue=open rows=42",
    "difference": "",
    "en": "The enterprise answers within 5 days.",
    "enterprise": "tencent",
    "enterprise_name": "腾讯",
    "event_id": "2026-11-20/000417",
    "failure": "",
    "field": "number",
    "from_case": "D0123456789AB",
    "hotline": "0755-83765566",
    "id": "W0123456789ABCDEFGHJK",
    "id_tail": "01123X",
    "into": "R0123456789AC",
    "key_id": "S0123456789AB",
    "label": "138****8000",
    "last_failure": "",
    "law": "PIPL 47",
    "lines_url": "/v1/renewal-batches/B0123456789AB/lines",
    "link": "https://kf.qq.com",
    "links": "X0123456789AB",
    "message_id": "result-R0123456789AB-1",
    "name": "微信",
    "name_en": "WeChat",
    "next": "",
    "note": "Called them.",
    "number": "138****8000",
    "opened_from": "D0123456789AB",
    "origin": "counter-7",
    "outcome": "",
    "party": "tencent",
    "party_name": "腾讯",
    "proposal": "",
    "query": "Q0123456789AB",
    "question": "When was it unbound?",
    "question_id": "A0123456789ABCDEFGHJK",
    "reason": "The enterprise waits for the court's order.",
    "ref": "a1b2",
    "released_to": "china-mobile",
    "remedy": "Correct it and send the request again.",
    "renewal": "R0123456789AB",
    "request": "R0123456789AB-unbind-0",
    "result": "citizen_right",
    "scope": "renewals:read renewals:write",
    "seal": "k1:5f0c…",
    "secret": "whsec_…",
    "silent": "抖音",
    "spent_by": "Q0123456789AB",
    "state": "running",
    "statement": "Unbound on 2 March.",
    "status": "running",
    "step": "act-7",
    "tenant": "tencent",
    "text": "They say it is unbound, and I still get their codes.",
    "title": "Not found",
    "to": "worker-lin",
    "token": "9f86d081884c7d65…",
    "type": "about:blank",
    "what": "Took the case on.",
    "who": "case worker worker-chen",
    "work_item": "W0123456789ABCDEFGHJK",
    "work_items": "W0123456789ABCDEFGHJK",
    "wrong": "",
    "zh": "企业将在5日内答复。",
}
"""What a text looks like, by its field's name."""

FORMATS: Mapping[str, str] = {
    "date-time": "2026-11-20T01:30:00Z",
    "date": "2026-11-20",
    "duration": "P3D",
    "binary": "",
}


NOTHING_YET = frozenset(
    {
        "alarmed_at",
        "answered_at",
        "ask_again_at",
        "closed_at",
        "decided_at",
        "ended_at",
        "failure",
        "finished_at",
        "free_at",
        "next",
        "overdue_at",
        "released_at",
        "reported_at",
        "result",
        "revoked_at",
        "spent_by",
        "withdrawal_asked_at",
    }
)
"""Fields that are null in an example, if they may be: what is shown goes on."""

TRUE = frozenset({"changed", "matched", "open", "ok", "ready", "taken", "valid"})
"""What is usually so."""


class NoWord(LookupError):
    """A field of text nobody has given a word: add it to `WORDS`, or give its model `examples`."""


class Examples:
    """Makes examples of the schemas of one path."""

    def __init__(self, schemas: Mapping[str, Schema], path: str) -> None:
        self._schemas = schemas
        area = path.split("/")[2] if path.count("/") > 1 else ""
        reference = REFERENCES.get(area, "R0123456789AB")
        self._words = {**WORDS, "case": reference, "cases": reference, "status_url": f"/v1/{area}/{reference}"}

    def of(self, schema: Schema, name: str = "") -> Any:
        """An example of a schema; `name` is the field's. Raises NoWord."""
        if "$ref" in schema:
            return self.of(self._schemas[schema["$ref"].rpartition("/")[2]], name)
        if schema.get("examples"):
            return self._whole(schema, schema["examples"][0])
        if schema.get("enum"):
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                nullable = {"type": "null"} in schema[choice]
                return None if nullable and name in NOTHING_YET else self.of(schema[choice][0], name)
        return self._of_type(schema, name)

    def _whole(self, schema: Schema, example: Any) -> Any:
        """A model's own example, with the nulls that FastAPI leaves out of the document."""
        if "$ref" in schema:
            return self._whole(self._schemas[schema["$ref"].rpartition("/")[2]], example)
        if isinstance(example, list):
            return [self._whole(schema.get("items", {}), one) for one in example]
        if not isinstance(example, dict):
            return example
        fields = schema.get("properties", {})
        nulls = {key: None for key in schema.get("required", ()) if key not in example}
        return {key: self._whole(fields.get(key, {}), value) for key, value in (nulls | example).items()}

    def _of_type(self, schema: Schema, name: str) -> Any:
        match schema.get("type"):
            case "object" if "properties" in schema:
                return {key: self.of(one, key) for key, one in schema["properties"].items()}
            case "object":
                values, keys = schema.get("additionalProperties"), schema.get("propertyNames", {})
                key = self.of(keys, "app") if keys else "status" if values == {"type": "string"} else "wechat"
                return {key: self.of(values, name)} if isinstance(values, Mapping) else {}
            case "array":
                return [self.of(schema["items"], name)] if "items" in schema else []
            case "integer" | "number":
                return max(1, schema.get("minimum", 0), schema.get("exclusiveMinimum", 0) + 1)
            case "boolean":
                return name in TRUE
            case "null":
                return None
            case "string":
                return self._text(schema, name)
            case _:
                return {}

    def _text(self, schema: Schema, name: str) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        if name not in self._words:
            raise NoWord(f"{name!r}: what does it look like? Say so in WORDS of gateway/examples.py")
        return self._words[name]
