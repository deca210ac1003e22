"""Following `docs/add-an-enterprise.md` to the letter works, and mistakes are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from domain.registry import RegistryError, load
from runtime.stack import SANDBOX_REGISTRY, Stack
from tests.cli.test_starter import starter

DOCUMENT = Path("docs/add-an-enterprise.md").read_text()
ENTRY = re.search(r"```toml\n(.*?)```", DOCUMENT, re.S)[1]  # type: ignore[index]


def test_a_new_enterprise_takes_part(tmp_path: Path) -> None:
    entry = ENTRY.replace("https://reader.example/jiebang/hooks", "${SANDBOX_URL}/e/example-reader/hooks")
    registry = tmp_path / "my-registry.toml"
    registry.write_text(SANDBOX_REGISTRY.read_text() + entry)
    with Stack(tmp_path / "stack", environment={"JIEBANG_REGISTRY": str(registry)}) as stack:
        words = ("renew", "--number", "13800138000", "--activated-on", "2026-08-01", "--apps", "example-reader")
        done = starter(*words, "--wait", "--json", folder=stack.folder)
    assert done.returncode == 0, done.stderr
    (app,) = json.loads(done.stdout)["apps"]
    assert app["enterprise_name"] == "示例读书" and app["outcome"]


def test_a_mistake_is_named_as_the_document_says() -> None:
    real = Path("domain/registry.toml").read_text()
    with pytest.raises(RegistryError, match=r"registry, enterprises\.8: .*channel push needs endpoint"):
        load(real + re.sub(r'endpoint = ".*?"', "", ENTRY))
