"""The plain page behind a mailed link: a person at an enterprise without a system answers its work items there.

The link is the credential: signed, for one enterprise and one request, expiring. It goes to no other site: the page has
no foreign asset and no link out, and browsers are told to say where somebody came from to nobody but us.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from domain.case import root
from gateway.pages import answering
from gateway.pages.answering import Given
from gateway.pages.page import Opened, Page
from gateway.pages.words import N_
from store import views
from store.disclosure import subject
from store.links import BadLink, Link
from store.vault import NotInVault, get

router = APIRouter(tags=["mail page"], include_in_schema=False)

BAD_LINK = N_(
    "The link is not whole, was changed, or has expired. Open it from the mail again, as a whole; "
    "the reminder that comes before the deadline has a fresh one."
)
FORGOTTEN = N_("The case is closed and its personal data are deleted.")


async def _link(word: str, page: Opened) -> Link | HTMLResponse:
    try:
        return Link.open(page.services.keys, word, datetime.now(UTC))
    except BadLink:
        return _refused(page, BAD_LINK)


Linked = Annotated[Link | HTMLResponse, Depends(_link)]


@router.get("/m/{word}")
async def show(link: Linked, page: Opened) -> HTMLResponse:
    """The work items of the link, each with its form row."""
    return link if isinstance(link, HTMLResponse) else await _form(page, link, Given({}))


@router.post("/m/{word}")
async def answer(link: Linked, page: Opened) -> HTMLResponse:
    """Take what was filled in; rows left empty stay open, refused ones say why beside themselves."""
    if isinstance(link, HTMLResponse):
        return link
    form = {key: str(value) for key, value in (await page.form()).items()}
    items = await page.services.database.read(lambda c: views.items_of_request(c, link.enterprise, link.case))
    try:
        given = await answering.take(page, link.enterprise, items, form)
    except NotInVault:
        return _refused(page, FORGOTTEN)
    return await _form(page, link, given)


async def _form(page: Page, link: Link, given: Given) -> HTMLResponse:
    """The page, with what came of what was sent."""
    services = page.services
    items = await services.database.read(lambda c: views.items_of_request(c, link.enterprise, link.case))
    profile = services.registry.enterprise(link.enterprise)
    try:
        person = await services.database.read(lambda c: get(c, services.keys, root(link.case)))
    except NotInVault:
        return _refused(page, FORGOTTEN)
    return page.draw(
        "work_items.html",
        given.status,
        errors=given.errors,
        typed=given.typed,
        given=given,
        enterprise=answering.called(page, profile),
        whose=subject(services.keys, profile, person),
        items=[
            (item, answering.called(page, services.registry.app(item.app)), answering.days_offered(item))
            for item in items
        ],
        **answering.shared_words(page, profile),
    )


def _refused(page: Page, sentence: str) -> HTMLResponse:
    return page.draw("refused.html", 410, sentence=page._(sentence))
