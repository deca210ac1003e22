"""`docs/enterprise-protocol.md` from the application's own OpenAPI: `python -m gateway.protocol_doc` writes it.

A test compares the file with what this makes, so the document cannot fall behind the doors.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activities.enterprises import MESSAGE_TYPE
from activities.redelivery import NOT_SENT
from domain import question
from domain.question import ANSWERS, QuestionKind
from domain.unbind import REASONS, Choice, ItemState, Outcome
from domain.unbind import rules as unbind_rules
from gateway.app import bare
from gateway.problems import STATUS, Problem
from gateway.questions import SharedQuestion
from gateway.signing_keys import Key
from gateway.webhooks import SentMessage
from store.answers import SaidAccount, SaidCounts, SaidDeclined, SaidDetail, SaidEvidence, SaidOwnCheck
from store.disclosure import SharedItem, Subject
from store.figures import Hours, ItemFigures, QuestionFigures

FILE = Path(__file__).resolve().parent.parent / "docs" / "enterprise-protocol.md"
TAGS = frozenset({"work items", "questions", "webhooks", "self-service"})
OF_THE_DOORS = (
    ("not_signed_in", 401),
    ("certificate_needed", 401),
    ("bad_signature", 401),
    ("not_allowed", 403),
    ("replayed", 409),
    ("webhook_id_reused", 422),
    ("forgotten", 410),
    ("too_large", 413),
    ("too_many_lines", 413),
    ("unknown_message", 404),
    ("too_many_messages", 422),
    ("unknown_key", 404),
    ("last_key", 409),
    ("too_many_keys", 409),
    ("engine_busy", "503, repeat after `Retry-After`"),
)
"""What the doors say themselves; the rest comes from the domain."""

RULES = (unbind_rules, question)
"""Where the domain's refusals of what an enterprise says are written."""

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
Every call carries `Authorization: Bearer` and an access token, which `POST /oauth/token` gives for your client id and
secret and which is good for ten minutes. What you say about work items and questions is signed besides, as
[Standard Webhooks](https://www.standardwebhooks.com): `webhook-id` (unique per message, the same at every retry),
`webhook-timestamp` (Unix seconds, at most 5 minutes off) and `webhook-signature` (`v1,` + base64 HMAC-SHA-256 of
`id.timestamp.body` under your `whsec_…` secret). Messages from us are signed the same way; check them. While two of
your keys overlap, ours carry a signature by each with a space between: take a message if one of them fits.
A message that was taken is remembered: sending it again is answered 409 `replayed`, which means *taken*. Another
message under its `webhook-id` is answered 422 `webhook_id_reused` and was *not* taken: a work item's id will not do
as `webhook-id`, since you acknowledge and answer it. After an upload whose answer was lost, send the lines again
under a new `webhook-id`: what is recorded comes back `unchanged`. A line with status `repeat` was not
taken now; send it again later.

## What we push
`POST` to your endpoint, any 2xx with an empty or JSON body means taken; 429 and 503 with `Retry-After` are honoured,
other failures are retried with growing pauses. The same `webhook-id` may come twice; the work item ids are the same.

| `type` | meaning |
|---|---|
"""

QUESTIONS = """
## Questions
Besides work items you are asked *questions* about one person's number: how many accounts, which accounts, what your
books say.

1. **Pushed** to your endpoint as `questions.asked`, signed like every message. Answer at once, in the reply: a 2xx
   with `{"answers": [{"question": "<id>", "answer": {…}}]}`. A 2xx without an answer means that you answer later. What
   cannot be delivered is sent again with growing pauses, under another `webhook-id` and the same question ids, until
   the question is due.
2. **Listed** under `GET /v1/questions` is everything you have yet to answer, pushed or not. Who is not pushed to looks
   there.
3. **Answered later** it is with `POST /v1/questions/{question_id}/answer`; the body is the answer alone. Late answers are
   taken until the case closes; a query's citizen is told of them in one supplement.

Name every app that is asked about: one you leave out has *no answer*, which is never 0 and cannot be added later. The
same answer again changes nothing, another one is refused; only an `own_check` may be followed by the `detail`.

```json
{"type": "questions.asked", "data": {"questions": [{"id": "A0123456789ABCDEFGHJK", "kind": "counts",
 "apps": ["your-app", "your-other-app"], "subject": {"token": "9f86d081…"}, "due_at": "2026-09-03T10:00:00+00:00",
 "identity_checked": true}]}}
```

```json
{"answers": [{"question": "A0123456789ABCDEFGHJK",
 "answer": {"type": "counts", "counts": {"your-app": 2, "your-other-app": 0}}}]}
```
"""

SELF_SERVICE = """
## What you do yourself
**New signing keys.** `POST /v1/signing-keys` gives a new secret, once. The older ones stay good for the `overlap` you
name (7 days if you name none), both ways: what you sign by either is taken, and ours carries a signature by each. So:
make the key, teach it to whatever checks our messages, then sign with it, and the old one ends by itself. All of our
machines know of a change within 5 seconds. A key that has become known to somebody else is ended at once with
`DELETE /v1/signing-keys/{key_id}`; the only one without an end cannot be, so make a new one first.

**Messages you missed.** `GET /v1/webhooks?taken=false` lists what we sent you in the last 30 days and you did not take.
`POST /v1/webhooks/{message_id}/replay` sends one again, `POST /v1/webhooks/replay` all of a time. They come with the
`webhook-id` they had, a new timestamp and what is so **today**, in no order; while you are out of reach they are tried for
a day, with growing pauses. An answer in the reply to a question counts as ever. A message that has nothing to say any more
is not sent; its `failure` tells why (below).

**Your figures.** `GET /v1/figures?from=2026-11-01&until=2026-12-01` tells how you kept your deadlines: the work items
whose clock began and the questions put in these days (Shanghai), as they stand now. You see yours alone.
"""

ASKED = {
    QuestionKind.COUNTS: "how many accounts (for carriers: phone cards under the ID) per app",
    QuestionKind.DETAIL: "which accounts, masked; for their owner's eyes only",
    QuestionKind.EVIDENCE: "what your books say; for an investigation",
}
"""What each kind of question wants."""


def make() -> str:
    """The whole document."""
    return INTRODUCTION + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    spec = bare().openapi()
    meanings = ("new work items", "their answers are due soon", "the holder withdrew them: do nothing more")
    yield from (f"| `{kind}` | {meaning} |" for kind, meaning in zip(MESSAGE_TYPE.values(), meanings, strict=True))
    for said, model in (
        ("`data.work_items` is a list of `SharedItem`:", SharedItem),
        ("`Choice`, what is to become of one account:", Choice),
        ("`Subject`, whose bindings are meant:", Subject),
    ):
        yield from ("", said, "", *_fields(model.model_json_schema()))
    yield from ("", "## Outcomes and reasons", "", "| outcome | reasons |", "|---|---|")
    for outcome in Outcome:
        yield f"| `{outcome}` | {', '.join(f'`{reason}`' for reason in sorted(REASONS[outcome])) or 'none'} |"
    yield from ("", f"States of a work item: {', '.join(f'`{state}`' for state in ItemState)}.")
    yield from _questions()
    yield from _self_service()
    yield from ("", "## Doors")
    for path, methods in spec["paths"].items():
        for method, door in methods.items():
            if TAGS & set(door.get("tags", ())):
                yield from _door(path, method, door, spec["components"]["schemas"])
    yield from ("", "## Problems", "", "Errors are RFC 9457 problems, `application/problem+json`:", "")
    yield from _fields(Problem.model_json_schema())
    yield from ("", "| code | status |", "|---|---|")
    yield from (f"| `{code}` | {status} |" for code, status in (*OF_THE_DOORS, *_refusals()))


def _refusals() -> Iterator[tuple[str, int]]:
    """The codes the rules use, with their status."""
    used = {name for module in RULES for name in re.findall(r"RefusalCode\.([A-Z_]+)", inspect.getsource(module))}
    used = (used | {"MALFORMED"}) - {code.upper() for code, _ in OF_THE_DOORS}
    yield from ((code, status) for code, status in STATUS.items() if code.name in used)


def _questions() -> Iterator[str]:
    yield from QUESTIONS.rstrip().splitlines()
    yield from ("", "| `kind` | what is asked | answers that fit |", "|---|---|---|")
    for kind, what in ASKED.items():
        fitting = ", ".join(f"`{form.model_fields['type'].default}`" for form in ANSWERS[kind])
        yield f"| `{kind}` | {what} | {fitting} |"
    yield from ("", "`SharedQuestion`, one question as you see it:", "", *_fields(SharedQuestion.model_json_schema()))
    for form in (SaidCounts, SaidDetail, SaidOwnCheck, SaidEvidence, SaidDeclined):
        schema = form.model_json_schema()
        yield from ("", f"Answer `{schema['properties']['type']['const']}`: {schema['description']}", "")
        yield from _fields(schema)
    yield from ("", "`SaidAccount`, one account in a `detail`:", "", *_fields(SaidAccount.model_json_schema()))


def _self_service() -> Iterator[str]:
    yield from SELF_SERVICE.rstrip().splitlines()
    yield from ("", "| `failure` | why it is not sent again |", "|---|---|")
    yield from (f"| `{code}` | {why} |" for code, why in NOT_SENT.items())
    for model in (SentMessage, Key, ItemFigures, QuestionFigures, Hours):
        schema = model.model_json_schema()
        yield from ("", f"`{model.__name__}`: {schema['description']}", "", *_fields(schema))


def _door(path: str, method: str, door: dict[str, Any], models: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"### {method.upper()} {path}", door.get("description", ""))
    queries = [p for p in door.get("parameters", ()) if p["in"] == "query"]
    yield from (f"- `{p['name']}`: {p.get('description') or p['schema'].get('type')}" for p in queries)
    for media, content in door.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        schema = models.get(_kind(schema), schema) if "$ref" in schema else schema
        one_of = f" {', '.join(_kind(form['properties']['type']) for form in schema.get('oneOf', ()))} as above"
        yield from (
            "",
            f"Body `{media}`{', one per line' if 'ndjson' in media else ''}{one_of * ('oneOf' in schema)}:",
        )
        yield from ("", *_fields(schema)) if "properties" in schema else ()
        yield from (f"\n```json\n{json.dumps(one, ensure_ascii=False)}\n```" for one in schema.get("examples", ()))
    status, answer = next((status, one) for status, one in door["responses"].items() if status.startswith("2"))
    if "content" not in answer:
        yield from ("", f"Answer {status}, without a body.")
    for media, content in answer.get("content", {}).items():
        schema = content["schema"]
        reference = schema.get("title") or _kind(schema)
        name = reference.rpartition("__")[2]
        above = name == SharedItem.__name__
        lines = ", one per line" if "ndjson" in media else ""
        yield from ("", f"Answer {status} `{media}`{lines}: `{name}`{' as above.' if above else ':'}")
        yield from () if above else ("", *_fields(models.get(reference, schema)))


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        kinds = [_kind(option) for option in field.get("anyOf", [field])]
        kind = " or ".join(kind for kind in kinds if kind != "null" or name in required)
        note = field.get("description", "")
        yield f"- `{name}` ({kind}{'' if name in required else ', optional'}){': ' + note if note else ''}"


def _kind(schema: dict[str, Any]) -> str:
    """One word or two for what a value is."""
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "const" in schema:
        return f"`{schema['const']}`"
    if values := next(iter(schema.get("patternProperties", {}).values()), None):
        return f"{_kind(values)} per app code"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("format") or schema.get("type") or schema["$ref"].rpartition("/")[2])


if __name__ == "__main__":
    FILE.write_text(make())
