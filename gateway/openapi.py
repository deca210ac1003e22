"""What the OpenAPI says besides what the routes say themselves: names that last, every problem by its status, an
example of every body. It is in one place so that no route has to think of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway.examples import Examples, NoWord
from gateway.problems import MEDIA_TYPE, TITLES, Problem, problem

ABOUT = """
Unbinding accounts from phone numbers: for carriers, enterprises, channels and case workers.

- Times are RFC 3339 with a zone; those that are given back are in UTC.
- References are opaque: they say nothing about a person.
- An error is a problem (RFC 9457) with a stable `code`, one sentence, and what to do.
- `Idempotency-Key`: the same key with the same body gives the same case, with another body 409.
- A list is `{…, "next": cursor}`: give `next` as `after` to go on; `null` is the end.
- `ETag`, `If-None-Match` and `If-Match` where two people may edit the same.
- Personal data never stands in a URL.
"""

TAGS: Mapping[str, str] = {
    "access": "Access tokens by OAuth 2 client credentials, and who has which.",
    "sign-in": "People at the case desk: signing in and out, and who one is.",
    "audit": "What people and programs did besides cases.",
    "renewals": "Carriers hand in the renewal of second-hand numbers, channels for their holders; both follow it.",
    "renewal batches": "Many renewals in one upload, which may be interrupted and go on.",
    "work items": "Enterprises pull what they are asked to unbind, and answer.",
    "questions": "Enterprises and carriers answer what a case asks them.",
    "queries": "Channels ask for a citizen how many accounts or cards there are.",
    "identity checks": "Who asks is the holder of the number: a code by short message, or a counter.",
    "disputes": "A citizen disputes what was found.",
    "citizens": "A citizen looks into one case of their own, by its reference and a code.",
    "complaints": "A citizen complains; it goes on as a dispute or an investigation.",
    "case work": "Case workers look for cases, and act on them.",
    "investigations": "Case workers ask several parties, and decide in twos.",
    "numbers": "Carriers report what becomes of a number; who takes part learns of it.",
    "webhooks": "What we send: tried again, listed, and sent once more when asked.",
    "self-service": "A partner's own keys and figures.",
    "health": "Whether it runs.",
}

CODES: Mapping[int, tuple[str, str, str]] = {
    400: ("malformed", "The body is not valid JSON.", "Send one JSON object."),
    401: ("not_signed_in", "The request carries no valid token.", "Get one from POST /oauth/token."),
    403: ("not_allowed", "This needs a scope which this token has not.", "Ask with a client that has it."),
    404: ("unknown_case", "There is no such case of yours.", "Check the reference."),
    408: ("too_slow", "The body took too long.", "Send it again."),
    409: ("case_closed", "The case is closed.", "Open a new one that names it."),
    410: ("forgotten", "The person of this case is forgotten.", "Open a new case."),
    412: ("changed_meanwhile", "The case has changed since you read it.", "Read it again."),
    413: ("too_large", "The body is over 1024 KiB.", "Send less, in several requests."),
    415: ("wrong_media_type", "The body is of another type.", "Send the type that is named here."),
    422: ("malformed", "number: a mainland mobile number has 11 digits.", "Correct it and send it again."),
    429: ("too_many_requests", "More than 100 requests in 60 s.", "Wait as long as Retry-After says."),
    503: ("engine_busy", "The case engine does not answer now.", "Repeat the request."),
}
"""An example of each status."""

ALSO: Mapping[str, tuple[int, ...]] = {
    "access_issue_token": (400, 401),
    "case_work_act": (409, 410),
    "case_work_pause": (409, 410),
    "case_work_resume": (409, 410),
    "case_work_save_search": (409,),
    "citizens_enter_code": (409, 410),
    "citizens_show_case": (404,),
    "citizens_withdraw": (404, 409),
    "complaints_route": (409, 410),
    "complaints_submit": (404, 410),
    "disputes_choose": (409, 410),
    "disputes_detail": (409, 410),
    "disputes_reopen": (409, 410),
    "disputes_settle": (409, 410),
    "disputes_submit": (404, 410),
    "disputes_unsolved": (409, 410),
    "disputes_withdraw": (409, 410),
    "identity_checks_enter": (409, 410),
    "identity_checks_resend": (409, 410),
    "investigations_open_investigation": (404, 410),
    "numbers_find": (404,),
    "numbers_override": (409,),
    "numbers_release": (404, 409),
    "numbers_report": (409,),
    "numbers_show_certificate": (409,),
    "queries_submit": (404, 410),
    "questions_answer": (410,),
    "renewal_batches_cancel_batch": (409,),
    "renewal_batches_upload": (415,),
    "renewal_batches_upload_rest": (409, 415),
    "renewals_submit_for_holder": (404, 410),
    "renewals_withdraw": (409,),
    "self_service_end_key": (409,),
    "self_service_make_key": (409,),
    "sign_in_change_password": (409, 415),
    "sign_in_sign_in": (401, 403, 415),
    "sign_in_sign_out": (403,),
    "work_items_acknowledge": (410,),
    "work_items_answer": (410,),
    "work_items_extend": (410,),
    "work_items_show_work_item": (410,),
}
"""What else an operation may say, besides what follows from its form. What the tests of the doors hear is held
against it."""

BY_HEADER: Mapping[str, int] = {"Idempotency-Key": 409, "webhook-id": 409, "If-Match": 412}
"""What a header is there for."""

METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def operation_id(route: APIRoute) -> str:
    """The area and the function: what a client's code is named after, whatever becomes of the path."""
    area = str(route.tags[0]) if route.tags else "other"
    return f"{area}_{route.name}".replace(" ", "_").replace("-", "_")


def install(app: FastAPI) -> None:
    """Make the application's OpenAPI whole."""
    app.description = ABOUT.strip()
    app.openapi_tags = [{"name": name, "description": about} for name, about in TAGS.items()]
    plain = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(plain())
        return plain()

    app.openapi = whole  # type: ignore[method-assign]


def complete(spec: dict[str, Any]) -> None:
    """Summaries, problems and examples for every operation."""
    schemas = spec["components"]["schemas"]
    schemas.setdefault("Problem", Problem.model_json_schema())
    for path, operation in operations(spec):
        if about := operation.get("description"):
            operation["summary"] = summary(about)
        _problems(operation)
        examples = Examples(schemas, path)
        for media, content in contents(operation):
            if "example" not in content and "examples" not in content and "schema" in content:
                with suppress(NoWord):  # a test finds it
                    content["example"] = _written(examples.of(content["schema"]), media)
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)


def operations(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its path."""
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, operation


def summary(about: str) -> str:
    """The first clause of what is said about it."""
    first = " ".join(about.split())
    for end in (". ", "; ", ": "):
        first = first.partition(end)[0]
    return first.rstrip(".")


def contents(operation: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The bodies it takes and gives, by their media types."""
    for body in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from body.get("content", {}).items()


def _written(example: Any, media: str) -> Any:
    """Lines of JSON are text as a whole."""
    return json.dumps(example, ensure_ascii=False) + "\n" if media.endswith("ndjson") else example


def _problems(operation: dict[str, Any]) -> None:
    """One response per status it may give, in place of the catch-all ones."""
    responses = operation["responses"]
    responses.pop("4XX", None)
    given = {int(status) for status in responses if status >= "4"}
    for status in sorted(given | statuses(operation)):
        before = responses.get(str(status), {})
        if not any(_is_problem(content) for content in before.get("content", {"": {}}).values()):
            continue  # the route says something else with it
        code, detail, remedy = CODES[status]
        example = problem(status, code, detail, remedy).model_dump()
        said = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        wait = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
        headers = {**before.get("headers", {}), **(wait if status in (429, 503) else {})}
        responses[str(status)] = {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: said},
            **({"headers": headers} if headers else {}),
        }


def _is_problem(content: Mapping[str, Any]) -> bool:
    reference = content.get("schema", {}).get("$ref", "Problem")
    return str(reference).rpartition("/")[2] in ("Problem", "HTTPValidationError")


def statuses(operation: Mapping[str, Any]) -> set[int]:
    """What follows from its form, and what is known besides."""
    body = operation.get("requestBody", {}).get("content", {})
    parameters = operation.get("parameters", [])
    found = {429, 503, *ALSO.get(operation["operationId"], ())}
    found |= {BY_HEADER[one["name"]] for one in parameters if one["name"] in BY_HEADER}
    if operation.get("security"):
        found |= {401, 403}
    if any(one["in"] == "path" for one in parameters):
        found |= {404}
    if parameters or body:
        found |= {422}
    if body:
        found |= {408, 413}
    if "application/json" in body:
        found |= {400}
    return found
