"""What a person playing with the sandbox looks at: whom to be, the telephones, and the enterprises' mailboxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from domain.privacy import PhoneNumber
from sandbox.mail_server import ReceivedMail
from sandbox.sms_centre import ReceivedSms

NEWEST = 30

FRAME = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{{ title }} · sandbox</title>
<h1>{{ title }}</h1><p><a href="/">Sandbox</a> · <a href="/phone">Telephones</a> · <a href="/mailbox">Mailboxes</a>
· <a href="{{ gateway }}/">Jiebang</a></p>"""

START = """<p>The world outside, made up: enterprises, carriers, telephones, mail. Be whom you like:</p><ul>
<li>A citizen: <a href="{{ gateway }}/">check a number</a>, any number such as 139 0000 0888 with any ID tail such as
15106X; its code is on the <a href="/phone">telephone</a>.</li>
<li>At the case desk: <a href="{{ gateway }}/desk">sign in</a> as any of {{ people|join(", ") }}.</li>
<li>A clerk of an enterprise: <a href="{{ gateway }}/work">sign in</a>, or open a link in a
<a href="/mailbox">mailbox</a>.</li></ul>"""

PHONE = """<form method="post"><label>Number <input name="number" type="tel" value="{{ number }}" required></label>
<button>Look</button></form>{% if wrong %}<p role="alert">{{ wrong }}</p>{% endif %}
{% if texts is not none %}<h2>{{ texts|length }} short messages, the newest on top</h2><ol reversed>
{% for one in texts %}<li><time>{{ one.received_at.strftime("%H:%M:%S") }} UTC</time> {{ one.text }}</li>{% endfor %}
</ol>{% endif %}"""

MAILBOX = """<p>The newest {{ mails|length }} mails.</p>{% for one in mails %}
<h2>{{ one.subject }}</h2><p>to {{ one.to|join(", ") }}, {{ one.received_at.strftime("%H:%M:%S") }} UTC</p>
<pre>{{ one.text|urlize }}</pre>{% endfor %}"""

_environment = Environment(autoescape=True)


class SandboxPages:
    """Add its `router` to an application."""

    def __init__(
        self,
        gateway_url: str,
        people: Sequence[str],
        texts: Callable[[], Sequence[ReceivedSms]],
        mails: Callable[[], Sequence[ReceivedMail]],
    ) -> None:
        self._gateway = gateway_url
        self._people = people
        self._texts = texts
        self._mails = mails
        self.router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
        self.router.add_api_route("/", self._start, methods=["GET"])
        self.router.add_api_route("/phone", self._phone, methods=["GET"])
        self.router.add_api_route("/phone", self._look, methods=["POST"])
        self.router.add_api_route("/mailbox", self._mailbox, methods=["GET"])

    async def _start(self) -> str:
        return self._drawn("The sandbox", START, people=self._people)

    async def _phone(self) -> str:
        return self._drawn("A telephone", PHONE, number="", texts=None, wrong="")

    async def _look(self, number: Annotated[str, Form()] = "") -> str:
        try:
            whose = PhoneNumber.parse(number).e164.removeprefix("+")
        except ValueError as error:
            return self._drawn("A telephone", PHONE, number=number, texts=None, wrong=str(error))
        texts = [one for one in reversed(self._texts()) if one.destination == whose]
        return self._drawn("A telephone", PHONE, number=number, texts=texts, wrong="")

    async def _mailbox(self) -> str:
        return self._drawn("Mailboxes", MAILBOX, mails=self._mails()[: -NEWEST - 1 : -1])

    def _drawn(self, title: str, body: str, **values: object) -> str:
        template = _environment.from_string(FRAME + body)
        return template.render(title=title, gateway=self._gateway, **values)
