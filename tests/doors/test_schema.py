"""Every operation of the OpenAPI, with generated requests, against the running stack on both databases.

Whatever is sent, nothing answers 5xx, nor with a status, a media type, headers or a body that the OpenAPI does not tell.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure, FailureGroup
from sqlalchemy.engine import make_url

from domain.access import Role, Scope
from tests.doors.conftest import Everybody

EXAMPLES = {"sqlite": 6, "postgresql": 3}
"""Generated requests per operation and database: the second is asked the same again, what it answers hangs on `store/`."""

load_all_checks()
TOLD = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
QUIETLY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schemathesis.serializer("application/x-ndjson", "text/csv")
def in_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What is generated for an upload, as its one line."""
    return json.dumps(value).encode()


def scope_of(operation: Any) -> Scope | None:
    """What an operation asks for."""
    asked = operation.definition.raw.get("security", [])
    words = [word for one in asked for scopes in one.values() for word in scopes]
    return Scope(words[0]) if words else None


def what_is_not_told(operation: Any, token: str, examples: int) -> str:
    """What an operation answers to some requests that its OpenAPI does not tell; empty as it should be."""

    @settings(QUIETLY, max_examples=examples)
    @given(case=operation.as_strategy())
    def answers_as_told(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"authorization": f"Bearer {token}"}, checks=TOLD)

    try:
        answers_as_told()
    except (Failure, FailureGroup) as error:
        return f"{operation.label}: {error}"
    return ""


@pytest.mark.timeout(300)
def test_the_openapi_tells_all_there_is(everybody: Everybody) -> None:
    schema = schemathesis.openapi.from_url(f"{everybody.stack.api}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 70
    roles = [everybody.who_may(scope) if (scope := scope_of(one)) else Role.CARRIER for one in operations]
    tokens = {role: everybody.token(role) for role in set(roles)}
    examples = EXAMPLES[make_url(everybody.stack.settings.database_url).get_backend_name()]
    told = [what_is_not_told(one, tokens[role], examples) for one, role in zip(operations, roles, strict=True)]
    assert not any(told), "\n\n".join(filter(None, told))
