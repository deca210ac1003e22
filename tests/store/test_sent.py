"""The log of sent messages: tries are counted, what was taken stays taken, and replays go by their marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.unbind import Notice
from store import sent
from store.database import Database
from store.keyset import Place
from store.sent import Again, OfItems, Sent, Wanted

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
ABOUT = OfItems(case="R0123456789AB-unbind-0", notice=Notice.REQUEST, items=("W0123456789ABCDEFGHJK",))


def message(n: int, failure: str = "", partner: str = "push-0", hours: float = 0) -> Sent:
    at = NOW + timedelta(minutes=n) + timedelta(hours=hours)
    return Sent(partner, f"request.{n}", "work_items.requested", ABOUT, at, failure)


def test_log_and_replay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def page(after: Place | None = None, limit: int = 10, **wanted: object) -> list[tuple[str, int, bool, str]]:
        rows = database.read_now(lambda c: sent.page(c, Wanted("push-0", **wanted), after, limit))  # type: ignore[arg-type]
        return [(row.message_id, row.tries, row.taken, row.failure) for row in rows]

    database.write_now(lambda c: sent.log(c, [message(0), message(1, "http_503"), message(2, "http_410")]))
    database.write_now(lambda c: sent.log(c, [message(1, "http_timeout", hours=1), message(9, partner="push-1")]))
    database.write_now(lambda c: sent.log(c, [message(0, "http_503", hours=1)]))
    everything = [
        ("request.0", 2, True, "http_503"),
        ("request.1", 2, False, "http_timeout"),
        ("request.2", 1, False, "http_410"),
    ]
    assert page() == everything
    assert page(Place(NOW, "request.0"), 1) == everything[1:2]
    assert page(taken=False, since=NOW + timedelta(minutes=2)) == everything[2:]
    assert page(type="questions.asked") == page(until=NOW) == []

    missed = Wanted("push-0", taken=False)
    monkeypatch.setattr(sent, "MOST_AGAIN", 1)
    assert database.write_now(lambda c: sent.mark_all(c, missed, "r1")) is None
    monkeypatch.undo()
    assert database.write_now(lambda c: sent.mark_all(c, missed, "r1")) == 2
    assert not database.write_now(lambda c: sent.mark(c, "push-1", "request.1", "r2"))
    assert database.write_now(lambda c: sent.mark(c, "push-0", "request.2", "r2"))

    def waiting(replay: str) -> list[str]:
        return [one.message_id for one in database.read_now(lambda c: sent.waiting(c, replay, later, 9))]

    later = NOW + timedelta(days=1)
    assert (waiting("r1"), waiting("r2")) == (["request.1"], ["request.2"])
    outcomes = [Again("request.1", "http_503", waits=True), Again("request.2")]
    database.write_now(lambda c: sent.replayed(c, "push-0", "r1", later, outcomes))
    assert page(taken=False) == [("request.1", 3, False, "http_503"), ("request.2", 1, False, "http_410")]
    assert (waiting("r1"), waiting("r2")) == ([], ["request.2"]), "one is tried, the other is another replay's"
    assert database.read_now(lambda c: sent.left(c, "r1")) == 1
    database.write_now(lambda c: sent.replayed(c, "push-0", "r2", later, [Again("request.2")]))
    database.write_now(lambda c: sent.replayed(c, "push-0", "r1", later, [Again("request.1", "gone", sent=False)]))
    assert page(taken=False) == [("request.1", 3, False, "gone")] and not waiting("r1") + waiting("r2")

    assert database.write_now(lambda c: sent.prune(c, NOW + sent.KEPT + timedelta(minutes=1))) == 1
    assert [one[0] for one in page()] == ["request.1", "request.2"]
