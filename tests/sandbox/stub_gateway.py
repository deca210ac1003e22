"""A gateway small enough to read at once: one unbind request and some questions in memory, decided by the real
`domain.unbind` and `domain.question`.

It lets the sandbox world be tested without Temporal and a database, over the same sockets as the real one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from aiosmtplib import send
from fastapi import FastAPI, HTTPException, Request
from pydantic import TypeAdapter
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from domain import question, unbind
from domain.question import QuestionKind
from domain.refusal import Refusal
from domain.registry import Channel, Enterprise, NumberForm, Registry
from domain.sla import Deadline
from gateway.problems import of_refusal
from sandbox.calls import Account, signed
from sandbox.server import HttpServer
from sandbox.world import Accounts
from store import answers
from store.disclosure import Subject, shared

NUMBER = "+8613800138000"
COMMAND = TypeAdapter(unbind.ItemCommand)
SAID: TypeAdapter[answers.Said] = TypeAdapter(answers.Said)
PAGE = 2


def accounts(enterprises: Iterable[str], carriers: Iterable[str]) -> Accounts:
    """Credentials that follow from the codes."""

    def account(code: str) -> Account:
        digest = hashlib.sha256(code.encode()).digest()
        return Account(client_id=f"t-{code}", client_secret="s", secret="whsec_" + b64encode(digest).decode())

    return Accounts(
        enterprises={
            code: account(code).model_copy(update={"token_key": token_key(code).hex()}) for code in enterprises
        },
        carriers={code: account(code) for code in carriers},
    )


def token_key(code: str) -> bytes:
    """What a party's tokens are made with."""
    return hashlib.sha256(f"tokens of {code}".encode()).digest()


def token(code: str, number: str = NUMBER) -> str:
    """A party's token of a number."""
    return hmac.new(token_key(code), number.encode(), hashlib.sha256).hexdigest()


def question_id(code: str, kind: QuestionKind) -> str:
    """A party's question."""
    return "A" + hashlib.sha256(f"{code}/{kind}".encode()).hexdigest()[:20].upper()


def paper(text: str) -> str:
    """The id something is put away under."""
    return "P" + hashlib.sha256(text.encode()).hexdigest()[:12].upper()


def item_id(app: str) -> str:
    """An app's work item."""
    return "W" + hashlib.sha256(app.encode()).hexdigest()[:20].upper()


class StubGateway:
    """`open` a request, `deliver` it, look at `state`; `ask` a question, look at `questions`."""

    def __init__(self, credentials: Accounts) -> None:
        self._accounts = {**credentials.enterprises, **credentials.carriers}
        self._by_token = {account.client_id: code for code, account in self._accounts.items()}
        self._seen: set[tuple[str, str]] = set()
        self.http = HttpServer("127.0.0.1")
        self._client = httpx.AsyncClient(timeout=1.0, trust_env=False)
        self.state: unbind.State | None = None
        self.questions: question.Questions = {}
        self.links: dict[str, str] = {}
        """By question: where the party's own check is."""
        self.said: dict[str, list[answers.Said]] = {}
        """By question: everything its party said, as it came, if it was genuine and fitted."""
        self._asked: dict[str, dict[str, Any]] = {}
        self.number_events: list[tuple[str, dict[str, Any]]] = []
        self.bulk_uploads: Counter[str] = Counter()
        self.app = FastAPI()
        self.app.add_api_route("/oauth/token", self._token, methods=["POST"], response_model=None)
        self.app.add_api_route("/v1/work-items", self._list, methods=["GET"], response_model=None)
        self.app.add_api_route("/v1/work-items/{item}/{what}", self._command, methods=["POST"], response_model=None)
        self.app.add_api_route("/v1/answers", self._answers, methods=["POST"], response_model=None)
        self.app.add_api_route("/v1/questions", self._list_questions, methods=["GET"], response_model=None)
        self.app.add_api_route("/v1/questions/{id_}/answer", self._take, methods=["POST"], response_model=None)
        self.app.add_api_route("/v1/number-events", self._number_event, methods=["POST"])
        self.app.add_api_route("/m/{code}", self._page, methods=["GET"], response_model=None)
        self.app.add_api_route("/m/{code}", self._form, methods=["POST"], response_model=None)

    async def start(self) -> None:
        await self.http.start(self.app)

    async def close(self) -> None:
        await self._client.aclose()
        await self.http.close()

    async def restart(self) -> None:
        """Come back at the same address after `http.close()`."""
        self.http = HttpServer("127.0.0.1", self.http.port)
        await self.start()

    def open(
        self,
        registry: Registry,
        due_in: float,
        parties: Iterable[Enterprise] = (),
        chosen: Mapping[str, Iterable[unbind.Action]] = {},
    ) -> unbind.State:
        """A request to these parties, all enterprises if none are named; `chosen` is what the citizen wants done with
        each account, by app."""
        now = datetime.now(UTC)
        clock = Deadline(remind_at=now, due_at=now + timedelta(seconds=due_in), calendar="stub")
        new = tuple(
            unbind.NewItem(
                id=item_id(app.code),
                app=app.code,
                enterprise=enterprise.code,
                clock=clock,
                retry_first=enterprise.retry_first,
                retry_at_most=enterprise.retry_at_most,
                extend_at_most=enterprise.sla.extend_at_most,
                choices=tuple(
                    unbind.Choice(ref=f"a{n}", action=one) for n, one in enumerate(chosen.get(app.code, ()))
                ),
            )
            for enterprise in parties or registry.enterprises
            for app in enterprise.apps
        )
        opened = unbind.Opened(
            at=now,
            case="R0123456789AB-unbind-1",
            parent="R0123456789AB",
            boundary=now - timedelta(days=60),
            late_window=timedelta(minutes=5),
            items=new,
        )
        self.state = unbind.evolve(None, opened)
        self._registry = registry
        return self.state

    # ── what goes out ────────────────────────────────────────────────────────────────────────────────

    async def deliver(self, smtp_port: int) -> None:
        """Tell every enterprise that does not pull; try again until it took it."""
        say = {Channel.PUSH: self.push, Channel.MAIL: lambda code: self._mail(code, smtp_port)}
        await asyncio.gather(*(say[e.channel](e.code) for e in self._registry.enterprises if e.channel in say))

    async def push(self, code: str, kind: str = "requested") -> None:
        url = self._registry.enterprise(code).endpoint
        await self.say(code, url, f"work_items.{kind}", {"work_items": self.items_of(code)})

    async def say(self, code: str, url: str, kind: str, data: Mapping[str, Any]) -> bytes:
        """A message to a party, until it took it; the JSON it answered."""
        body = json.dumps({"type": kind, "data": data}).encode()
        while True:
            headers = signed(self._accounts[code].secret, f"{kind}.{code}", body)
            try:
                response = await self._client.post(url, content=body, headers=headers)
            except httpx.TransportError:
                continue
            if response.is_success and "html" not in response.headers.get("content-type", ""):
                return response.content
            await asyncio.sleep(0.05)

    async def ask(
        self, party: Enterprise, kind: QuestionKind, due_in: float = 60.0, identity_checked: bool = True
    ) -> str:
        """Put a question to a party, as `activities/parties.py` does; its id."""
        now = datetime.now(UTC)
        new = question.Question(
            id=question_id(party.code, kind),
            kind=kind,
            party=party.code,
            apps=tuple(app.code for app in party.apps),
            asked_at=now,
            due_at=now + timedelta(seconds=due_in),
        )
        self._asked[new.id] = {
            "id": new.id,
            "kind": new.kind,
            "apps": new.apps,
            "subject": {"token": token(party.code)},
            "due_at": new.due_at.isoformat(),
            "identity_checked": identity_checked,
        }
        self.questions = {new.id: new, **self.questions}
        if party.channel is Channel.PUSH:
            await self.ask_again(party, new.id)
        return new.id

    async def ask_all(self, parties: Iterable[Enterprise], kind: QuestionKind, due_in: float = 60.0) -> None:
        """The same to many at once."""
        await asyncio.gather(*(self.ask(party, kind, due_in) for party in parties))

    async def ask_again(self, party: Enterprise, id_: str) -> int:
        """The same question once more; what is answered at once is heard at once. How many answers that was."""
        said = await self.say(party.code, party.endpoint, "questions.asked", {"questions": [self._asked[id_]]})
        at_once = answers.SaidAtOnce.model_validate_json(said or b"{}").answers
        for one in at_once:
            assert self.hear(one.question, party.code, one.answer) is None
        return len(at_once)

    async def _mail(self, code: str, smtp_port: int) -> None:
        to = self._registry.enterprise(code).mail
        text = f"From: a@b.example\nTo: {to}\nSubject: s\n\nPlease open {self.http.url}/m/{code}\n"
        await send(text, sender="a@b.example", recipients=[to], hostname="127.0.0.1", port=smtp_port)

    def items_of(self, code: str, number: str | None = None) -> list[dict[str, Any]]:
        """An enterprise's work items, as it sees them; `number` replaces the one the token is made of."""
        form = self._registry.enterprise(code).number_form
        full = form in (NumberForm.FULL, NumberForm.FULL_WITH_ID_TAIL)
        whose = Subject(token=token(code, number or NUMBER), number=NUMBER if full else None)
        found = [
            item for item in self.current.items.values() if item.enterprise == code and item.state in unbind.OPEN
        ]
        return [shared(item, whose).model_dump(mode="json", exclude_none=True) for item in found]

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────

    @property
    def current(self) -> unbind.State:
        """The request, with what has become overdue by now."""
        assert self.state
        overdue = unbind.agenda(self.state, datetime.now(UTC)).overdue
        if overdue:
            self.state = unbind.evolve(self.state, unbind.WentOverdue(at=datetime.now(UTC), items=overdue))
        return self.state

    def withdraw(self) -> None:
        decision = unbind.decide(self.current, unbind.Withdraw(), datetime.now(UTC))
        assert not isinstance(decision, Refusal)
        for event in decision:
            self.state = unbind.evolve(self.state, event)

    def take(self, data: Mapping[str, Any]) -> Refusal | None:
        """One command of an enterprise."""
        command = COMMAND.validate_python(data)
        item = self.current.items.get(command.item)
        clock = None
        if isinstance(command, unbind.Extend) and item:
            clock = Deadline(remind_at=item.remind_at, due_at=item.due_at + command.by, calendar="stub")
        decision = unbind.decide(self.current, command, datetime.now(UTC), clock)
        if isinstance(decision, Refusal):
            return decision
        for event in decision:
            self.state = unbind.evolve(self.state, event)
        return None

    def hear(self, id_: str, code: str, said: answers.Said) -> Refusal | None:
        """One answer to a question."""
        command = question.Answering(question=id_, party=code, answer=self._put_away(said))
        decision = question.decide(self.questions, command, datetime.now(UTC))
        if isinstance(decision, Refusal):
            return decision
        for event in decision:
            assert isinstance(event, question.Answered)
            self.questions = question.evolve(self.questions, event)
            self.said.setdefault(id_, []).append(said)
        if isinstance(said, answers.SaidOwnCheck):
            self.links[id_] = said.link
        return None

    def _put_away(self, said: answers.Said) -> question.Answer:
        match said:
            case answers.SaidCounts():
                return question.Counts(counts=said.counts)
            case answers.SaidDetail():
                accounts = {
                    app: tuple(question.Account(ref=one.ref, own=False, label=paper(one.label)) for one in found)
                    for app, found in said.accounts.items()
                }
                return question.Detail(accounts=accounts)
            case answers.SaidOwnCheck():
                return question.OwnCheck(link=paper(said.link))
            case answers.SaidEvidence():
                return question.Evidence(statement=paper(said.statement))
            case answers.SaidDeclined():
                return question.Declined(reason=said.reason)

    async def _token(self, request: Request) -> dict[str, Any]:
        """The client's id serves as its token."""
        client_id, _, _secret = b64decode(request.headers["authorization"].removeprefix("Basic ")).partition(b":")
        return {"access_token": client_id.decode(), "token_type": "Bearer", "expires_in": 600}

    def _who(self, request: Request) -> str:
        code = self._by_token.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if code is None:
            raise HTTPException(401)
        return code

    async def _signed(self, request: Request) -> tuple[str, bytes]:
        code, body = self._who(request), await request.body()
        try:
            Webhook(self._accounts[code].secret).verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            raise HTTPException(401) from None
        message = (code, request.headers["webhook-id"])
        if message in self._seen:
            raise HTTPException(409)
        self._seen.add(message)
        return code, body

    async def _list(self, request: Request, limit: int, after: int = 0) -> Response:
        """In pages of two, so that cursors matter."""
        code = self._who(request)
        found = dict(enumerate(self.items_of(code), 1)) if self.state else {}
        page = [place for place in found if place > after][: min(limit, PAGE)]
        more = page and page[-1] < len(found)
        return JSONResponse({"work_items": [found[place] for place in page], "next": page[-1] if more else None})

    async def _command(self, item: str, what: str, request: Request) -> Response:
        code, body = await self._signed(request)
        refusal = self.take(json.loads(body) | {"type": what, "item": item, "enterprise": code})
        if refusal:
            problem = of_refusal(refusal)
            return JSONResponse(problem.model_dump(), problem.status)
        return JSONResponse({})

    async def _answers(self, request: Request) -> Response:
        code, body = await self._signed(request)
        self.bulk_uploads[code] += 1
        lines = []
        for number, text in enumerate(body.decode().splitlines(), 1):
            line = json.loads(text)
            item = line.pop("work_item")
            what = "acknowledge" if line.pop("acknowledge", False) else "answer"
            away = self.bulk_uploads[code] == 1 and number == 1  # the first line of all finds the engine away
            refusal = None if away else self.take(line | {"type": what, "item": item, "enterprise": code})
            answer = {"line": number, "work_item": item, "status": "refused" if refusal else "recorded"}
            if away:
                answer |= {"status": "repeat", "problem": {"status": 503, "code": "busy"}}
            elif refusal:
                answer |= {"problem": of_refusal(refusal).model_dump()}
            lines.append(json.dumps(answer))
        return PlainTextResponse("\n".join(lines) + "\n", media_type="application/x-ndjson")

    async def _list_questions(self, request: Request, limit: int, after: int = 0) -> Response:
        code = self._who(request)
        found = [self._asked[one.id] for one in self.questions.values() if one.party == code and one.open]
        more = after + 1 < len(found)
        return JSONResponse({"questions": found[after : after + 1], "next": after + 1 if more else None})

    async def _take(self, id_: str, request: Request) -> Response:
        code, body = await self._signed(request)
        refusal = self.hear(id_, code, SAID.validate_json(body))
        if refusal:
            problem = of_refusal(refusal)
            return JSONResponse(problem.model_dump(), problem.status)
        return JSONResponse({})

    async def _number_event(self, request: Request) -> Mapping[str, str]:
        code = self._who(request)
        self.number_events.append((code, await request.json()))
        return {"case": "N0123456789AB"}

    # ── the page behind a mailed link ────────────────────────────────────────────────────────────────

    async def _page(self, code: str) -> Response:
        """`mail-01` gets outcome and reason as one choice, the others as two fields. Accounts are listed before them."""
        choices = "".join(f"<option value='{o}/{r}'>" for o, reasons in unbind.REASONS.items() for r in reasons)
        fields = "".join(
            _accounts_of(item)
            + (
                f"<select name='outcome-{item['id']}'><option value='unbound'>unbound</option>{choices}</select>"
                if code == "mail-01"
                else f"<input name='outcome-{item['id']}'><input name='reason-{item['id']}'>"
            )
            for item in self.items_of(code)
        )
        page = (
            "<form action='/search'><input name=q></form>"
            f"<form method=post action='{code}'><input type=hidden name=csrf value='c&amp;{code}'>{fields}</form>"
        )
        response = HTMLResponse(page)
        response.set_cookie("csrf", f"c+{code}")
        return response

    async def _form(self, code: str, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form["csrf"] != f"c&{code}" or request.cookies.get("csrf") != f"c+{code}":
            raise HTTPException(403)
        for item in [name.removeprefix("outcome-") for name in form if name.startswith("outcome-")]:
            outcome, _, reason = form[f"outcome-{item}"].partition("/")
            answer = {"outcome": outcome, "reason": reason or form.get(f"reason-{item}") or None}
            assert self.take(answer | {"type": "answer", "item": item, "enterprise": code}) is None
        return Response(status_code=303, headers={"location": f"/m/{code}"})


def _accounts_of(item: Mapping[str, Any]) -> str:
    words = {unbind.Action.UNBIND: "解绑号码", unbind.Action.CANCEL: "注销账号"}
    listed = [f"<li><code>{one['ref']}</code>：{words[one['action']]}</li>" for one in item.get("accounts") or ()]
    return f"<ul>{''.join(listed)}</ul>" if listed else ""
