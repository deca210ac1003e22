"""Papers: locked with the case's own key, read by that case only, forgotten with its person, kept once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import func, select, update

from domain import question
from domain.question import DeclineReason
from store import answers, papers, vault
from store.answers import SaidAccount, SaidCounts, SaidDeclined, SaidDetail, SaidEvidence, SaidOwnCheck
from store.database import Database
from store.keys import KeyRing
from store.tables import papers as table
from store.vault import NotInVault
from tests.store.history import PERSON
from tests.strategies import ACTIVATED, SECOND, T0

CASE, OTHER = "D0123456789AB", "D0000000000ZZ"
TEXT = "王小明的账号 微**户"


@pytest.fixture
def people(database: Database, keys: KeyRing) -> None:
    """Both cases have a person."""
    for case in (CASE, OTHER):
        database.write_now(lambda c, case=case: vault.put(c, keys, case, PERSON))  # type: ignore[misc]


def count(database: Database) -> int:
    return database.read_now(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


def forget(database: Database, case: str, at: datetime = T0) -> None:
    database.write_now(lambda c: vault.purge_after(c, case, at - timedelta(days=1)))
    assert database.write_now(lambda c: vault.purge(c, at)) == 1


@pytest.mark.usefixtures("people")
def test_a_paper_is_read_by_its_case_and_no_other(database: Database, keys: KeyRing) -> None:
    paper = database.write_now(lambda c: papers.put(c, keys, CASE, TEXT))
    assert database.read_now(lambda c: papers.get(c, keys, CASE, paper)) == TEXT
    assert database.read_now(lambda c: papers.get(c, keys, f"{CASE}-unbind-0", paper)) == TEXT, "parts are one case"
    for case, wanted in ((OTHER, paper), (CASE, "P000000000000")):
        with pytest.raises(KeyError):
            database.read_now(lambda c, case=case, wanted=wanted: papers.get(c, keys, case, wanted))  # type: ignore[misc]
    (box,) = database.read_now(lambda c: c.execute(select(table.c.box)).scalars().all())
    assert "微".encode() not in box and b"D0123456789AB" not in box


@pytest.mark.usefixtures("people")
def test_a_paper_put_in_another_s_place_does_not_open(database: Database, keys: KeyRing) -> None:
    one, other = (database.write_now(lambda c: papers.put(c, keys, CASE, TEXT)) for _ in range(2))
    assert one != other, "what a person writes twice is two papers"

    def swap(connection: object) -> None:
        box = select(table.c.box).where(table.c.paper_id == one).scalar_subquery()
        connection.execute(update(table).where(table.c.paper_id == other).values(box=box))  # type: ignore[attr-defined]

    database.write_now(swap)
    with pytest.raises(InvalidTag):
        database.read_now(lambda c: papers.get(c, keys, CASE, other))


@pytest.mark.usefixtures("people")
def test_papers_are_forgotten_with_their_person(database: Database, keys: KeyRing) -> None:
    gone = database.write_now(lambda c: papers.put(c, keys, CASE, TEXT))
    kept = database.write_now(lambda c: papers.put(c, keys, OTHER, TEXT))
    forget(database, CASE)
    assert count(database) == 1 and database.read_now(lambda c: papers.get(c, keys, OTHER, kept)) == TEXT
    with pytest.raises(KeyError):
        database.read_now(lambda c: papers.get(c, keys, CASE, gone))
    for write in (papers.put, papers.keep):
        with pytest.raises(NotInVault):
            database.write_now(lambda c, write=write: write(c, keys, CASE, TEXT))  # type: ignore[misc]
    assert count(database) == 1


@pytest.mark.usefixtures("people")
def test_what_is_kept_twice_is_there_once(database: Database, keys: KeyRing) -> None:
    ids = {database.write_now(lambda c: papers.keep(c, keys, CASE, TEXT)) for _ in range(3)}
    assert len(ids) == count(database) == 1
    other_case = database.write_now(lambda c: papers.keep(c, keys, OTHER, TEXT))
    other_text = database.write_now(lambda c: papers.keep(c, keys, CASE, TEXT + "。"))
    assert len({*ids, other_case, other_text}) == 3, "the id says nothing to whoever has not the case's key"
    assert database.read_now(lambda c: papers.get(c, keys, OTHER, other_case)) == TEXT


SAID = [
    SaidCounts(type="counts", counts={"wechat": 2, "foreign": 9}),
    SaidDetail(
        type="detail",
        accounts={
            "wechat": [
                SaidAccount(ref="a1", label="微**户", bound_at=ACTIVATED),
                SaidAccount(ref="a2", label="张**号", bound_at=ACTIVATED - SECOND),
                SaidAccount(ref="a3", label="李**号"),
            ],
            "foreign": [SaidAccount(ref="a4", label="王**号", bound_at=ACTIVATED)],
        },
    ),
    SaidOwnCheck(type="own_check", link="https://e.example/check/1"),
    SaidEvidence(type="evidence", statement=TEXT, attachments=["doc-1", "doc-2"]),
    SaidDeclined(type="declined", reason=DeclineReason.NO_ACCOUNT),
]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("said", SAID, ids=lambda one: one.type)
def test_the_same_said_again_is_the_same_answer(database: Database, keys: KeyRing, said: answers.Said) -> None:
    def take() -> question.Answer:
        return database.write_now(lambda c: answers.take(c, keys, CASE, said, ACTIVATED, ("wechat", "qq")))

    first, papers_then = take(), count(database)
    assert take() == first and count(database) == papers_then
    written = first.model_dump_json()
    assert not any(word in written for word in ("户", "号", "王", "http", "doc-", "foreign"))


@pytest.mark.usefixtures("people")
def test_a_former_holder_s_label_is_thrown_away(database: Database, keys: KeyRing) -> None:
    detail = database.write_now(lambda c: answers.take(c, keys, CASE, SAID[1], ACTIVATED, ("wechat", "qq")))
    assert isinstance(detail, question.Detail) and set(detail.accounts) == {"wechat"}
    own, older, unknown = detail.accounts["wechat"]
    assert own.own and own.label and count(database) == 1
    assert not older.own and older.label is None and not unknown.own and unknown.label is None
    nobody_s = database.write_now(lambda c: answers.take(c, keys, CASE, SAID[1], None, ("wechat",)))
    assert isinstance(nobody_s, question.Detail) and not any(one.own for one in nobody_s.accounts["wechat"])


@pytest.mark.parametrize("ref", ["13800138000", "u-13800138000", "8613800138000_1"])
def test_a_number_is_no_handle(ref: str) -> None:
    with pytest.raises(ValueError, match="opaque handle"):
        SaidAccount(ref=ref, label="x")
