"""Follow my case: its reference, the ID tail, and a code to the number the case is about.

Whether there is such a case is never told: until the right code every answer is the same.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from pydantic import ValidationError

from domain.proof import Purpose
from gateway import follow
from gateway.identity import own
from gateway.pages import identity
from gateway.pages.page import WEBSITE, Opened, Page, beside
from gateway.pages.words import N_
from gateway.problems import ProblemError

router = APIRouter(include_in_schema=False)

FIELDS = {
    "reference": N_("Enter the reference as it stands in your short message: a letter and twelve characters"),
    "id_tail": identity.FIELDS["id_tail"],
}


@router.get("/follow")
async def start(page: Opened, reference: str = "") -> Response:
    """The two fields; the reference may stand there already."""
    return page.draw("follow.html", typed={"reference": reference[:40]})


@router.post("/follow")
async def begin(page: Opened) -> Response:
    """Have a code sent, if there is such a case: on to the code either way."""
    form = await page.form()
    try:
        body = follow.FollowRequest(
            reference="".join(str(form.get("reference", "")).split()).upper(),
            id_tail=str(form.get("id_tail", "")),
            origin=page.visit.origin,
            language=page.language,
        )
    except ValidationError as error:
        return page.draw("follow.html", 422, beside(page, error, FIELDS), form)
    key = identity.once(page, body.model_dump_json())
    try:
        begun = await follow.follow(body, Response(), WEBSITE, page.services, key)
    except ProblemError as error:
        return page.draw("follow.html", 422, {"reference": identity.refused(page, error)}, form)
    return identity.sent(page, begun.check, body.reference)


@identity.after(Purpose.FOLLOW)
async def look(page: Page, check: str, what_for: str) -> Response:
    """This browser may look into the case now."""
    state = await own(page.services, WEBSITE, check)
    case, until = await follow.proven(page.services, WEBSITE, state, datetime.now(UTC))
    page.may_see(case, until)
    return page.go(f"/case/{case}")
