"""The people at enterprises that work by mail: they open the link, fill in the form and send it, as with a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

from domain.registry import Channel, Registry
from sandbox.behaviour import Behaviour, Reply, behaviour_of, chosen
from sandbox.calls import FIRST_PAUSE, LONGEST_PAUSE, comes_later
from sandbox.enterprise import Start
from sandbox.mail_server import ReceivedMail, SandboxMailServer
from sandbox.observed import Observed

LINK = re.compile(r"https?://\S+/m/\S+")
LOOK_EVERY = 0.5
PATIENCE = 5
"""How often somebody tries again when the page does not take what they sent."""
OUTCOME = "outcome-"
REASON = "reason-"
CANCEL = "注销账号"
"""What the page says of an account that is to be cancelled, not only unbound."""


@dataclass
class Form:
    """A form of a page: where it goes, its hidden fields, its other fields with the values they offer, and what is
    listed before each of them."""

    action: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    listed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def items(self) -> list[str]:
        """The work items it asks about."""
        return [name.removeprefix(OUTCOME) for name in self.fields if name.startswith(OUTCOME)]

    def cancels(self, item: str) -> bool | None:
        """Whether an account of a work item is to be cancelled; None if no accounts are listed."""
        accounts = self.listed[OUTCOME + item]
        return any(CANCEL in account for account in accounts) if accounts else None

    def filled_in(self, item: str, reply: Reply) -> dict[str, str]:
        """The fields of one work item; outcome and reason are one choice where the page offers it so."""
        reason = reply.reason or ""
        both = f"{reply.outcome}/{reason}"
        one_choice = both in self.fields[OUTCOME + item]
        outcome = {OUTCOME + item: both if one_choice else reply.outcome.value}
        return outcome | ({REASON + item: reason} if REASON + item in self.fields else {})


class _Forms(HTMLParser):
    """Every form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._inside = False
        self._offered: list[str] = []
        self._listed: list[str] = []
        self._in_list = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(action=values.get("action", "")))
            self._inside = True
        elif not self._inside:
            return
        elif tag == "li":
            self._in_list = True
            self._listed.append("")
        elif tag == "option":
            self._offered.append(values.get("value", ""))
        elif values.get("type") == "hidden":
            self.found[-1].hidden[values["name"]] = values.get("value", "")
        elif tag in ("input", "select", "textarea") and "name" in values:
            self._offered = self.found[-1].fields.setdefault(values["name"], [])
            self.found[-1].listed.setdefault(values["name"], self._listed)
            self._listed = []

    def handle_data(self, data: str) -> None:
        if self._in_list:
            self._listed[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "li":
            self._in_list = False


def answer_form(page: str) -> Form | None:
    """The form that asks for outcomes, if the page has one."""
    forms = _Forms()
    forms.feed(page)
    return next((form for form in forms.found if form.items), None)


class People:
    """Everybody who answers by mail."""

    def __init__(
        self,
        registry: Registry,
        mail: SandboxMailServer,
        observed: Observed,
        start: Start,
        behaviours: Mapping[str, Behaviour],
        pace: float,
    ) -> None:
        self._mail = mail
        self._observed = observed
        self._start = start
        self._pace = pace
        self._behaviours = {
            known.mail: behaviour_of(known.code, behaviours)
            for known in registry.enterprises
            if known.channel is Channel.MAIL
        }

    async def read(self) -> None:
        """Look into the mailboxes, for ever; each mail with a link is somebody's work."""
        read = 0
        while True:
            new = self._mail.messages[read:]
            read += len(new)
            for mail in new:
                self._hand_out(mail)
            await asyncio.sleep(LOOK_EVERY * self._pace)

    def _hand_out(self, mail: ReceivedMail) -> None:
        link = LINK.search(mail.text)
        for address in mail.to:
            if link and address in self._behaviours and self._behaviours[address].replies:
                self._start(self._visit(link[0], self._behaviours[address]))

    async def _visit(self, link: str, behaviour: Behaviour) -> None:
        """Open the link and send the form; begin again later while the site is away, or a few times if it complains."""
        tries = 0
        while True:
            async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser:
                try:
                    response = await self._fill_in(browser, link, behaviour)
                except httpx.TransportError:
                    response = None
            if response is not None and response.is_success:
                return
            if response is not None and tries >= PATIENCE and not comes_later(response.status_code):
                return self._observed.refusal("form", response)
            await asyncio.sleep(min(FIRST_PAUSE * 2 ** min(tries, 8), LONGEST_PAUSE) * self._pace)
            tries += 1

    async def _fill_in(self, browser: httpx.AsyncClient, link: str, behaviour: Behaviour) -> httpx.Response:
        page = await browser.get(link)
        form = answer_form(page.text) if page.is_success else None
        if form is None:
            return page
        await asyncio.sleep(max(behaviour.answers_after.of(item) for item in form.items) * self._pace)
        self._carry_out(form.items)
        data = dict(form.hidden)
        for item in form.items:
            if reply := behaviour.reply(item):
                data |= form.filled_in(item, chosen(reply, form.cancels(item)))
        return await browser.post(urljoin(str(page.url), form.action), data=data)

    def _carry_out(self, items: Sequence[str]) -> None:
        """Once per work item, however many mails and pages show it."""
        self._observed.effects.update(item for item in items if item not in self._observed.effects)
