"""The plain page behind a mailed link: a person at an enterprise without a system answers its work items there.

The link is the credential: signed, for one enterprise and one request, expiring. No script, no foreign asset.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from domain import unbind
from domain.case import root
from domain.refusal import Refusal, RefusalCode
from domain.sla import SHANGHAI
from domain.texts import OUTCOME_ZH
from domain.unbind import REASONS, Item, ItemState, Outcome, Reason
from gateway.auth import Using
from gateway.desk import EngineBusy
from gateway.services import Services
from store import views
from store.disclosure import subject
from store.links import BadLink, Link
from store.vault import NotInVault, get

router = APIRouter(tags=["mail page"], include_in_schema=False)

REASON_ZH = {
    Reason.NO_BINDING: "无绑定",
    Reason.BOUND_AFTER_BOUNDARY: "绑定晚于开户时间",
    Reason.HOLDER_CONFIRMED: "机主确认为本人",
    Reason.LEGAL_HOLD: "依法保全",
    Reason.UNDER_INVESTIGATION: "调查中",
    Reason.FUNDS_REMAIN: "账户有余额",
    Reason.TOKEN_UNKNOWN: "无法识别令牌",
    Reason.OUT_OF_SCOPE: "不在受理范围",
    Reason.DATA_INCOMPLETE: "信息不完整",
}

REFUSAL_ZH = {
    RefusalCode.UNKNOWN_WORK_ITEM: "没有这个工单。请刷新页面后重试。",
    RefusalCode.CASE_CLOSED: "该工单已办结，不再接受反馈。如记录有误，请联系客服专员。",
    RefusalCode.WITHDRAWN: "用户已撤回此项，无需处理。如已解绑，请联系客服专员。",
    RefusalCode.REASON_REQUIRED: "此结果需要选择原因。请选择带原因的结果。",
    RefusalCode.REASON_DOES_NOT_FIT: "原因与结果不符。请重新选择。",
    RefusalCode.ALREADY_ANSWERED: "此项已有人反馈。请核对当前状态，如需更正请重新选择后提交。",
    RefusalCode.WRONG_VERSION: "此项的反馈已被更改。请核对当前状态，如需更正请重新选择后提交。",
}
BAD_LINK_ZH = "链接不完整、被改动过或已过期。请从邮件中重新打开完整的链接；到期前的催办邮件中有新链接。"

pages = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
pages.filters["local"] = lambda moment: f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}（北京时间）"

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


async def _link(word: str, services: Using) -> Link | HTMLResponse:
    try:
        return Link.open(services.keys, word, datetime.now(UTC))
    except BadLink:
        return _page("refused.html", 410, sentence=BAD_LINK_ZH)


Opened = Annotated[Link | HTMLResponse, Depends(_link)]


@router.get("/m/{word}")
async def show(word: str, link: Opened, services: Using) -> HTMLResponse:
    """The work items of the link, each with its form row."""
    if isinstance(link, HTMLResponse):
        return link
    return await _form(services, link, word)


@router.post("/m/{word}")
async def answer(word: str, link: Opened, request: Request, services: Using) -> HTMLResponse:
    """Take what was filled in; rows left empty stay open, refused ones say why beside themselves."""
    if isinstance(link, HTMLResponse):
        return link
    form = {key: str(value) for key, value in (await request.form(max_fields=5000)).items()}
    if not hmac.compare_digest(form.get("csrf", "").encode(), _csrf(services, word).encode()):
        return await _form(services, link, word, status=403, notice="表单已失效，请重新填写。")
    items = await services.database.read(lambda c: views.items_of_request(c, link.enterprise, link.case))
    errors: dict[str, str] = {}
    busy = False
    commands = [command for item in items if (command := _command(item, form, link.enterprise, errors))]
    recorded = 0
    for command, taken in zip(commands, await services.desk.take(commands), strict=True):
        if isinstance(taken, EngineBusy):
            busy, errors[command.item] = True, "系统繁忙，请稍后再提交。"
        elif taken.refusal:
            errors[command.item] = _in_chinese(taken.refusal)
        else:
            recorded += taken.changed
    status = 503 if busy else 422 if errors else 200
    return await _form(services, link, word, status=status, errors=errors, recorded=recorded)


def _command(item: Item, form: dict[str, str], enterprise: str, errors: dict[str, str]) -> unbind.Answer | None:
    """The answer of one row; it amends the version its reader saw, so a stale page cannot overwrite a newer answer."""
    chosen, _, why = form.get(f"outcome-{item.id}", "").partition("/")
    why = form.get(f"reason-{item.id}", "") or why
    if not chosen:
        return None
    try:
        return unbind.Answer(
            item=item.id,
            enterprise=enterprise,
            outcome=Outcome(chosen),
            reason=Reason(why) if why else None,
            amends=int(form.get(f"version-{item.id}", "0")) or None,
        )
    except ValueError:
        errors[item.id] = "请选择列表中的结果。"
        return None


def _in_chinese(refusal: Refusal) -> str:
    return REFUSAL_ZH.get(refusal.code, str(refusal))


async def _form(
    services: Services,
    link: Link,
    word: str,
    status: int = 200,
    errors: dict[str, str] | None = None,
    recorded: int = 0,
    notice: str = "",
) -> HTMLResponse:
    items = await services.database.read(lambda c: views.items_of_request(c, link.enterprise, link.case))
    profile = services.registry.enterprise(link.enterprise)
    try:
        person = await services.database.read(lambda c: get(c, services.keys, root(link.case)))
    except NotInVault:
        return _page("refused.html", 410, sentence="该工单已办结，个人信息已清除。")
    return _page(
        "work_items.html",
        status,
        enterprise=profile,
        whose=subject(services.keys, profile, person),
        items=[(item, services.registry.app(item.app).name) for item in items],
        choices=_choices(),
        outcomes=OUTCOME_ZH,
        open=unbind.OPEN,
        withdrawn=ItemState.WITHDRAWN,
        csrf=_csrf(services, word),
        errors=errors or {},
        recorded=recorded,
        notice=notice,
    )


def _choices() -> list[tuple[str, str]]:
    """Every outcome with each of its reasons, as one list to pick from."""
    choices = []
    for outcome in Outcome:
        name = OUTCOME_ZH[ItemState(outcome.value)]
        reasons = sorted(REASONS[outcome])
        choices += [(f"{outcome}/{reason}", f"{name}：{REASON_ZH[reason]}") for reason in reasons]
        if not reasons:
            choices.append((outcome.value, name))
    return choices


def _csrf(services: Services, word: str) -> str:
    return services.keys.token("csrf", hashlib.sha256(word.encode()).hexdigest())


def _page(name: str, status: int, **values: object) -> HTMLResponse:
    return HTMLResponse(pages.get_template(name).render(**values), status, headers=HEADERS)
