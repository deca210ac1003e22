"""What every contender with a domain finds in its folder: keys, a registry of so many enterprises with an app each,
their secrets, a migrated database and the person in the vault. The same for ours, the textbook and DBOS.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection, func, select

from activities import calendar
from bench.plan import Timing
from domain import sla, unbind
from domain.privacy import PhoneNumber
from domain.registry import Registry, load
from runtime.credentials import issue_missing
from store import schema, vault
from store.database import Database
from store.ids import new_case_id, work_item_id
from store.keys import KeyRing
from store.tables import work_items

BOUNDARY = datetime(2026, 1, 5, tzinfo=UTC)
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class House:
    """One run's folder."""

    folder: Path

    @property
    def database_url(self) -> str:
        """The ledger, the read models and the vault."""
        return f"sqlite:///{self.folder}/jiebang.db"

    @cached_property
    def keys(self) -> KeyRing:
        """The key ring."""
        return KeyRing.load(self.folder / "keys.json")

    @cached_property
    def registry(self) -> Registry:
        """As many enterprises as the run has apps."""
        return load((self.folder / "registry.toml").read_text())

    @cached_property
    def apps(self) -> tuple[str, ...]:
        """Every app."""
        return self.registry.app_codes

    def opened(
        self, case: str, parent: str, apps: Iterable[str], at: datetime, late_window: timedelta
    ) -> unbind.Opened:
        """The opening event of a case over these apps, as the contenders that are not ours write it."""
        return unbind.Opened(
            at=at,
            case=case,
            parent=parent,
            boundary=BOUNDARY,
            late_window=late_window,
            items=tuple(self._item(case, app, at) for app in apps),
        )

    def _item(self, case: str, app: str, at: datetime) -> unbind.NewItem:
        enterprise = self.registry.owner(app)
        return unbind.NewItem(
            id=work_item_id(self.keys, case, app),
            app=app,
            enterprise=enterprise.code,
            clock=sla.deadline(at, enterprise.sla, calendar.china(at.year)),
            retry_first=enterprise.retry_first,
            retry_at_most=enterprise.retry_at_most,
            extend_at_most=enterprise.sla.extend_at_most,
        )


def build(folder: Path, apps: int, timing: Timing, partner_port: int) -> House:
    """A fresh house."""
    folder.mkdir(parents=True)
    keys = KeyRing.new()
    keys.save(folder / "keys.json")
    codes = [f"e{number:04}" for number in range(apps)]
    (folder / "registry.toml").write_text(
        'version = "bench"\n' + "\n".join(_enterprise(code, timing, partner_port) for code in codes)
    )
    house = House(folder)
    schema.upgrade(house.database_url)
    with closing(Database(house.database_url)) as database:
        issue_missing(database, house.registry, keys, folder / "credentials.json")
    return house


def _enterprise(code: str, timing: Timing, port: int) -> str:
    return f"""
[[enterprises]]
code = "{code}"
name = "企业 {code}"
channel = "push"
endpoint = "http://127.0.0.1:{port}/{code}"
sla = {{ days = "calendar", answer_within = {_iso(timing.answer_within)}, remind_before = {_iso(timing.remind_before)} }}
apps = [{{ code = "a-{code}", name = "应用 {code}" }}]
"""


def _iso(seconds: float) -> str:
    return json.dumps(_DURATION.dump_python(timedelta(seconds=seconds), mode="json"))


def new_case(database: Database, house: House) -> str:
    """A case whose person is in the vault."""
    case = new_case_id()
    person = vault.Person(PhoneNumber("13800138000"))
    database.write_now(lambda c: vault.put(c, house.keys, case, person))
    return case


def standing(connection: Connection) -> dict[str, int]:
    """How many work items of the whole database stand where."""
    rows = connection.execute(select(work_items.c.state, func.count()).group_by(work_items.c.state))
    return {state: count for state, count in rows}


def due_at(connection: Connection) -> datetime:
    """The last deadline of all."""
    found: datetime = connection.execute(select(func.max(work_items.c.due_at))).scalar_one()
    return found
