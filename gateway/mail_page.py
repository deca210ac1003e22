"""The plain page behind a mailed link: a person at an enterprise without a system answers its work items there.

The link is the credential: signed, for one enterprise and one request, expiring. No script, no foreign asset.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from sqlalchemy import Connection

from domain import unbind
from domain.case import root
from domain.refusal import Refusal, RefusalCode
from domain.sla import SHANGHAI, DayKind
from domain.texts import OUTCOME_ZH
from domain.unbind import REASONS, Item, ItemState, Outcome, Reason
from gateway.auth import Using
from gateway.desk import EngineBusy
from gateway.services import Services
from gateway.work_items import put_away
from store import views
from store.disclosure import subject
from store.keys import KeyRing
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
    RefusalCode.NOT_ASKED_TO_CANCEL: "用户未要求注销账号，账号可能属于原机主。请只解绑号码，并反馈“已解绑”。",
    RefusalCode.WRONG_VERSION: "此项的反馈已被更改。请核对当前状态，如需更正请重新选择后提交。",
    RefusalCode.EXTENSION_NOT_ALLOWED: "不能延期：此项已反馈、已延期过、已到期，或计时已暂停。请直接反馈，或联系客服专员。",
}
STALE = frozenset({RefusalCode.ALREADY_ANSWERED, RefusalCode.WRONG_VERSION})
"""Refusals after which the choice has to be made anew, with the current answer in sight."""

STATE_ZH = {**OUTCOME_ZH, ItemState.ACKNOWLEDGED: "已受理，待反馈"}
DAYS_ZH = {DayKind.WORKING: "个工作日", DayKind.CALENDAR: "天"}
ACTION_ZH = {unbind.Action.UNBIND: "解绑号码", unbind.Action.CANCEL: "注销账号"}
BAD_LINK_ZH = "链接不完整、被改动过或已过期。请从邮件中重新打开完整的链接；到期前的催办邮件中有新链接。"

ACKNOWLEDGE = "acknowledge"
"""What is chosen instead of an outcome."""

DAY = timedelta(days=1)
LONGEST_REASON = 500
SMALL_NUMBER = re.compile(r"\d{1,4}")

pages = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
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
    said = [one for item in items for one in _said(item, form, link.enterprise, errors)]
    try:
        commands = await services.database.write(lambda c: [_kept(c, services.keys, one) for _, one in said])
    except NotInVault:
        return await _form(services, link, word)
    busy, recorded = False, set()
    for (fields, command), taken in zip(said, await services.desk.take(commands), strict=True):
        if isinstance(taken, EngineBusy):
            busy, errors[fields[0]] = True, "系统繁忙，请稍后再提交。"
            continue
        if taken.refusal:
            errors[fields[0]] = _in_chinese(taken.refusal)
        elif taken.changed:
            recorded.add(command.item)
        if not taken.refusal or taken.refusal.code in STALE:
            for field in fields:
                form.pop(field, None)
    status = 503 if busy else 422 if errors else 200
    return await _form(services, link, word, status=status, errors=errors, typed=form, recorded=len(recorded))


Said = tuple[tuple[str, ...], unbind.ItemCommand]
"""A command, and the fields it was read from."""


def _said(item: Item, form: Mapping[str, str], enterprise: str, errors: dict[str, str]) -> list[Said]:
    """What one row asks for; what does not fit goes to `errors`, by its field."""
    fields = (f"days-{item.id}", f"because-{item.id}")
    days, because = (form.get(field, "").strip() for field in fields)
    chosen = form.get(f"outcome-{item.id}", "")
    if not (days or because):
        return _chosen(item, form, enterprise, errors)
    if chosen and chosen != ACKNOWLEDGE:
        errors[fields[0]] = "已选择处理结果，无需延期。请清空延期，或不选处理结果。"
        return []
    most = item.extend_at_most // DAY
    if not SMALL_NUMBER.fullmatch(days) or not 1 <= int(days) <= most:
        errors[fields[0]] = f"请填写 1 至 {most} 之间的整数。" if most else "此项不能延期。"
    if not because or len(because) > LONGEST_REASON:
        errors[fields[1]] = f"原因最多 {LONGEST_REASON} 个字，请缩短。" if because else "请填写延期原因。"
    acknowledged = _chosen(item, form, enterprise, errors)
    if not errors.keys().isdisjoint(fields):
        return acknowledged
    extend = unbind.Extend(item=item.id, enterprise=enterprise, by=int(days) * DAY, reason=because)
    return [*acknowledged, (fields, extend)]


def _kept(connection: Connection, keys: KeyRing, command: unbind.ItemCommand) -> unbind.ItemCommand:
    """A reason for more time is a paper: a person may have written anything."""
    if not isinstance(command, unbind.Extend):
        return command
    paper = put_away(connection, keys, command.enterprise, command.item, command.reason)
    return command.model_copy(update={"reason": paper})


def _chosen(item: Item, form: Mapping[str, str], enterprise: str, errors: dict[str, str]) -> list[Said]:
    """The outcome of one row, or its acknowledgement, or nothing.

    An answer amends the version its reader saw, so a stale page cannot overwrite a newer one.
    """
    field = f"outcome-{item.id}"
    chosen, _, why = form.get(field, "").partition("/")
    why = form.get(f"reason-{item.id}", "") or why
    if not chosen:
        return []
    if chosen == ACKNOWLEDGE:
        return [((field,), unbind.Acknowledge(item=item.id, enterprise=enterprise))]
    try:
        answer = unbind.Answer(
            item=item.id,
            enterprise=enterprise,
            outcome=Outcome(chosen),
            reason=Reason(why) if why else None,
            amends=int(form.get(f"version-{item.id}", "0")) or None,
        )
    except ValueError:
        errors[field] = "请选择列表中的结果。"
        return []
    return [((field,), answer)]


def _in_chinese(refusal: Refusal) -> str:
    return REFUSAL_ZH.get(refusal.code, str(refusal))


async def _form(
    services: Services,
    link: Link,
    word: str,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    recorded: int = 0,
    notice: str = "",
) -> HTMLResponse:
    """The page; `typed` stands in its fields again, `errors` beside them."""
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
        items=[
            (item, services.registry.app(item.app).name, _days_offered(item, datetime.now(UTC))) for item in items
        ],
        days=DAYS_ZH[profile.sla.days],
        longest_reason=LONGEST_REASON,
        acknowledge=ACKNOWLEDGE,
        choices=_choices(),
        actions=ACTION_ZH,
        states=STATE_ZH,
        open=unbind.OPEN,
        withdrawn=ItemState.WITHDRAWN,
        csrf=_csrf(services, word),
        errors=errors or {},
        wrong=len({field.rpartition("-")[2] for field in errors or {}}),
        typed=typed or {},
        recorded=recorded,
        notice=notice,
    )


def _days_offered(item: Item, now: datetime) -> int:
    """The longest extension worth offering; whether one is granted the domain says."""
    stands = item.paused_at is not None or item.extension_reason or now >= item.due_at
    return 0 if stands or item.state not in unbind.WAITING else item.extend_at_most // DAY


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
