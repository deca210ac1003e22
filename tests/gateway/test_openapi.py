"""The OpenAPI is whole: whatever it refers to is in it."""

from __future__ import annotations

import json
import re

from gateway.app import bare


def test_every_reference_resolves() -> None:
    spec = bare().openapi()
    assert spec["openapi"].startswith("3.1")
    names = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(spec)))
    assert names and names <= spec["components"]["schemas"].keys()
    assert "$defs" not in json.dumps(spec)
