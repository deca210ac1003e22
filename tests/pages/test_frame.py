"""What all pages share: language, errors as pages, no foreign host, nothing a strict browser refuses."""

from __future__ import annotations

from tests.pages.conftest import Site


def test_what_is_not_there_is_said_in_the_readers_language(site: Site) -> None:
    page = site.open("/nowhere")
    assert page.locator("h1").inner_text() == "没有这个页面"
    site.look(page, "not-found")
    page.get_by_role("link", name="English").click()
    assert page.locator("h1").inner_text() == "There is no such page"
    assert page.url.endswith("/nowhere")
    assert site.open("/nowhere", language="en").locator("html").get_attribute("lang") == "en"
