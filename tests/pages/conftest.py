"""The site in a real browser, before the real stack: Temporal, database, worker, gateway and the sandbox world.

`site.open()` is a person with a browser of their own; `site.look(page, "name")` is done on every page a test comes by:
axe-core finds nothing serious, the page weighs little, and with SCREENS=folder it is photographed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from runtime.stack import Stack
from tests.pages import browser as browsers

MOST_BYTES = 100_000
SECONDS = 300
SERIOUS = ("serious", "critical")
WIDTHS = (390, 1280)
LANGUAGES = ("zh", "en")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]

WEIGHT = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .filter(one => !one.name.includes('/events'))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""


@dataclass
class Site:
    """The site, and people before it. Everything a browser complains of is in `wrong`, and fails the test."""

    stack: Stack
    browser: Browser
    wrong: list[str] = field(default_factory=list)
    unscripted: list[BrowserContext] = field(default_factory=list)
    """Browsers without JavaScript: axe-core cannot run there."""

    @property
    def url(self) -> str:
        return self.stack.api

    def open(self, path: str = "/", scripts: bool = True, language: str = "zh") -> Page:
        """A person with a browser of their own, looking at a page."""
        locale = {"zh": "zh-CN", "en": "en-GB"}[language]
        context = self.browser.new_context(
            base_url=self.url, java_script_enabled=scripts, locale=locale, viewport={"width": 1280, "height": 900}
        )
        if not scripts:
            self.unscripted.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._said(page, said))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(path)
        return page

    def sign_in(self, code: str, path: str = "/desk", **how: Any) -> Page:
        """Somebody of the sandbox (`worker-chen`, `supervisor-wu`, …) signed in through its OpenID provider."""
        page = self.open(f"/sign-in?next={path}", **how)
        page.locator('a[href^="/sign-in/oidc"]').click()
        page.get_by_role("link", name=code, exact=True).click()
        page.wait_for_url(f"{self.url}{path}**")
        return page

    def phone(self, number: str) -> list[str]:
        """The texts of the short messages a number got, the newest last."""
        answer = httpx.post(f"{self.stack.world}/world/phone", json={"number": number}, trust_env=False)
        return [one["text"] for one in answer.json()["texts"]]

    def look(self, page: Page, name: str, again: bool = True) -> None:
        """What is asked of every page. `again=False` where reloading would send a form once more."""
        if page.context not in self.unscripted:
            found = Axe().run(page)
            serious = [one for one in found.response["violations"] if one["impact"] in SERIOUS]
            said = [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}" for one in serious]
            assert not said, f"{name}: " + "\n".join(said)
            if again:
                assert (weight := page.evaluate(WEIGHT)) < MOST_BYTES, f"{name} weighs {weight} bytes"
        if folder := os.environ.get("SCREENS"):
            self._photograph(page, Path(folder), name, again)

    def _photograph(self, page: Page, folder: Path, name: str, again: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        before = page.locator("html").get_attribute("lang") or "zh-CN"
        for language in LANGUAGES if again else (before[:2],):
            self._in_language(page, language, again)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                page.screenshot(path=folder / f"{name}-{language}-{width}.png", full_page=True)
        self._in_language(page, before[:2], again)

    def _in_language(self, page: Page, language: str, again: bool) -> None:
        if again:
            cookie = {"name": "jiebang-language", "value": language, "url": self.url}
            page.context.add_cookies([cookie])  # type: ignore[list-item]
            page.reload()

    def _said(self, page: Page, said: Any) -> None:
        """A form that does not fit is answered 4xx, which browsers call an error of the page; it is none."""
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.wrong.append(f"{page.url}: {said.text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, self.stack.world, "data:")):
            self.wrong.append(f"asked another host: {url}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for a file of tests: each takes numbers of its own."""
    with Stack(tmp_path_factory.mktemp("pages")) as stack:
        yield stack


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this process. No browser is a failure, never a skip."""
    path = browsers.found()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site(running: Stack, chromium: Browser) -> Iterator[Site]:
    """The site; when the test is over no browser may have complained."""
    one = Site(running, chromium)
    yield one
    for context in chromium.contexts:
        context.close()
    assert not one.wrong, "\n".join(one.wrong)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a process also waits for its stack and its browser."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))
