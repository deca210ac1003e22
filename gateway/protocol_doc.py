"""`docs/enterprise-protocol.md` from the application's own OpenAPI: `python -m gateway.protocol_doc` writes it.

A test compares the file with what this makes, so the document cannot fall behind the doors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activities.enterprises import MESSAGE_TYPE
from domain.unbind import REASONS, ItemState, Outcome
from gateway.app import bare
from gateway.problems import STATUS
from store.disclosure import SharedItem

FILE = Path(__file__).resolve().parent.parent / "docs" / "enterprise-protocol.md"
TAG = "work items"

INTRODUCTION = """# The enterprise protocol

Made from the gateway's OpenAPI by `python -m gateway.protocol_doc`; do not edit by hand.

A *work item* is one app of yours and one re-issued phone number: unbind what was bound to the number **before**
`bound_before`, leave everything newer alone, and say what became of it. You never learn who the person is: you get
`subject.token`, the lower-case hex HMAC-SHA-256 of the number in E.164 (`+8613800138000`) under *your* `token_key`,
which you compare with the tokens of your own users' numbers. Another enterprise's token of the same number differs.

## In five steps
1. **Get** work items: pushed to your endpoint, pulled by you with a cursor, or mailed as a link to a page.
2. **Acknowledge** before you act: from then on the holder can no longer withdraw. (A withdrawn item leaves your
   list; who is pushed to gets a message besides.)
3. **Answer** with an outcome, and a reason where one is needed, before `due_at`. A reminder comes before that.
4. **Late** answers are taken too, and counted as late, until the case closes.
5. **Amend** a wrong answer by sending the right one with `amends` set to the version it corrects.

Everything is idempotent by work item: the same answer again changes nothing. No answer (connection lost, 503):
repeat the same message with the same `webhook-id`.

## Proving who you are
Every call carries `Authorization: Bearer <your token>`. Every POST is signed besides, as
[Standard Webhooks](https://www.standardwebhooks.com): `webhook-id` (unique per message, the same at every retry),
`webhook-timestamp` (Unix seconds, at most 5 minutes off) and `webhook-signature` (`v1,` + base64 HMAC-SHA-256 of
`id.timestamp.body` under your `whsec_…` secret). Messages from us are signed the same way; check them.
A message that was taken is remembered: sending it again is answered 409 `replayed`, which means *taken*. After an
upload whose answer was lost, send the lines again under a new `webhook-id`: what is recorded comes back `unchanged`.
A line with status `repeat` was not taken now; send it again later.

## What we push
`POST` to your endpoint, any 2xx with an empty or JSON body means taken; 429 and 503 with `Retry-After` are honoured,
other failures are retried with growing pauses. The same `webhook-id` may come twice; the work item ids are the same.

| `type` | meaning |
|---|---|
"""


def make() -> str:
    """The whole document."""
    return INTRODUCTION + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    spec = bare().openapi()
    meanings = ("new work items", "their answers are due soon", "the holder withdrew them: do nothing more")
    yield from (f"| `{kind}` | {meaning} |" for kind, meaning in zip(MESSAGE_TYPE.values(), meanings, strict=True))
    yield from ("", "`data.work_items` is a list of:", "")
    yield from _fields(SharedItem.model_json_schema())
    yield from ("", "## Outcomes and reasons", "", "| outcome | reasons |", "|---|---|")
    for outcome in Outcome:
        yield f"| `{outcome}` | {', '.join(f'`{reason}`' for reason in sorted(REASONS[outcome])) or 'none'} |"
    yield from ("", f"States of a work item: {', '.join(f'`{state}`' for state in ItemState)}.")
    yield from ("", "## Doors")
    for path, methods in spec["paths"].items():
        for method, door in methods.items():
            if TAG in door.get("tags", ()):
                yield from _door(path, method, door)
    yield from (
        "",
        "## Problems",
        "",
        "Errors are RFC 9457 problems with `code`, `detail`, `remedy` and `field`.",
        "",
    )
    yield from (
        "| code | status |",
        "|---|---|",
        "| `not_signed_in`, `bad_signature` | 401 |",
        "| `replayed` | 409 |",
    )
    yield from ("| `too_large` | 413 |", "| `engine_busy` | 503, repeat after `Retry-After` |")
    yield from (f"| `{code}` | {status} |" for code, status in STATUS.items())


def _door(path: str, method: str, door: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"### {method.upper()} {path}", door.get("description", ""))
    queries = [p for p in door.get("parameters", ()) if p["in"] == "query"]
    yield from (f"- `{p['name']}`: {p.get('description') or p['schema'].get('type')}" for p in queries)
    for media, content in door.get("requestBody", {}).get("content", {}).items():
        yield from ("", f"Body `{media}`{', one per line' if 'ndjson' in media else ''}:", "")
        yield from _fields(content["schema"])
        yield from (f"\n```json\n{json.dumps(example)}\n```" for example in content["schema"].get("examples", ()))


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        options = field.get("anyOf", [field])
        kinds = [o.get("format") or o.get("type") or o.get("$ref", "").rpartition("/")[2] for o in options]
        kind = " or ".join(k for k in kinds if k and k != "null")
        note = field.get("description", "")
        yield f"- `{name}` ({kind}{'' if name in required else ', optional'}){': ' + note if note else ''}"


if __name__ == "__main__":
    FILE.write_text(make())
