"""The OpenAPI by rules over every operation, so that a new route without a name, an example or its problems fails."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from gateway import openapi
from gateway.examples import Examples
from gateway.problems import MEDIA_TYPE, STATUS
from tests.gateway.documented import spec

STARTS_NOTHING = {"identity_checks_resend", "webhooks_replay_message", "webhooks_replay_messages"}
"""Operations answered with 202 that begin nothing new."""

OPEN_TO_ALL = {"access", "sign-in", "health"}
"""Areas with doors for those who have yet to say who they are."""


def every() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation."""
    items = spec()["paths"].items()
    return [
        (path, method, said) for path, item in items for method, said in item.items() if method in openapi.METHODS
    ]


@cache
def form(schema: str) -> jsonschema_rs.Validator:
    """What has to fit this schema, which is JSON."""
    whole = {**json.loads(schema), "components": spec()["components"]}
    return jsonschema_rs.validator_for(whole, validate_formats=True)


def given(media: str, content: dict[str, Any]) -> list[Any]:
    """The examples of a body; of several lines, each."""
    examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
    if media.endswith("ndjson"):
        return [one if isinstance(one, dict) else json.loads(one) for one in examples]
    return examples


def test_it_is_a_proper_openapi_document() -> None:
    assert spec()["openapi"].startswith("3.1")
    text = json.dumps(spec()).replace('"tokenUrl": "/', '"tokenUrl": "https://jiebang.example/')
    # the address of tokens is relative to where the document is, which its rules allow and their schema does not
    errors = OPENAPI_31_VALIDATOR.iter_errors(json.loads(text))
    assert not [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
    names = set(re.findall(r"#/components/schemas/([\w.-]+)", json.dumps(spec())))
    assert names and names <= spec()["components"]["schemas"].keys()
    assert "$defs" not in json.dumps(spec())


def test_every_operation_has_a_name_a_summary_and_an_area() -> None:
    for path, _, operation in every():
        assert operation["summary"] and len(operation["summary"]) <= 120, path
        assert operation["description"], path
        assert re.fullmatch(r"[a-z][a-z_]+", operation["operationId"]), path
        (tag,) = operation["tags"]
        assert tag in openapi.TAGS, f"{path}: describe the tag {tag!r} in gateway/openapi.py"
    assert [tag["name"] for tag in spec()["tags"]] == list(openapi.TAGS)
    assert max(Counter(operation["operationId"] for _, _, operation in every()).values()) == 1
    assert openapi.ALSO.keys() <= {operation["operationId"] for _, _, operation in every()}


def test_every_operation_says_who_may_and_what_goes_wrong() -> None:
    for path, method, operation in every():
        responses = operation["responses"]
        assert operation.get("security") or operation["tags"][0] in OPEN_TO_ALL, path
        assert {"429", "503"} <= responses.keys() and not {"4XX", "5XX", "default"} & responses.keys(), path
        if operation.get("security"):
            assert {"401", "403"} <= responses.keys(), path
        if "{" in path:
            assert "404" in responses, path
        if "requestBody" in operation:
            assert {"408", "413", "422"} <= responses.keys(), path
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", [])):
            assert "409" in responses, path
        if any(one["name"] == "If-Match" for one in operation.get("parameters", [])):
            assert "412" in responses, path
        for status, response in responses.items():
            if status >= "4" and path != "/readyz":  # which says what is not ready
                said = response["content"][MEDIA_TYPE]
                assert said["schema"]["$ref"].endswith("/Problem") and said["example"]["status"] == int(status), path
        if method == "post" and "202" in responses and operation["operationId"] not in STARTS_NOTHING:
            (key,) = [one for one in operation["parameters"] if one["name"] == "Idempotency-Key"]
            assert key["required"], path


def test_every_status_of_a_refusal_has_an_example() -> None:
    assert set(STATUS.values()) <= openapi.CODES.keys()


def test_every_body_has_an_example_that_fits() -> None:
    for path, _, operation in every():
        examples = Examples(spec()["components"]["schemas"], path)
        for media, said in openapi.contents(operation):
            if not {"example", "examples"} & said.keys():
                examples.of(said["schema"])  # says which word is missing
                pytest.fail(f"{path}: no example of {media}")
            if "schema" in said and "form" not in media:
                fits = form(json.dumps(said["schema"]))
                for example in given(media, said):
                    assert not [error.message for error in fits.iter_errors(example)], (path, example)


def test_times_have_a_zone() -> None:
    """Of a parameter or a body, every time is one with a zone: a date-time, described once for all."""
    assert "RFC 3339" in spec()["info"]["description"]
    for name, schema in spec()["components"]["schemas"].items():
        for field, said in schema.get("properties", {}).items():
            if field.endswith("_at"):
                forms = [said, *said.get("anyOf", [])]
                assert any(form.get("format") == "date-time" for form in forms), (name, field)
