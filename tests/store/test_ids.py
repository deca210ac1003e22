"""Ids: of the right form, and saying nothing."""

from __future__ import annotations

from pydantic import TypeAdapter

from domain.case import CaseId, WorkItemId
from store.ids import new_case_id, sms_reference, work_item_id
from store.keys import KeyRing
from tests.strategies import CASE, PART

case_id, item_id = TypeAdapter(CaseId), TypeAdapter(WorkItemId)


def test_case_ids_fit_and_differ() -> None:
    ids = {new_case_id() for _ in range(500)}
    assert len(ids) == 500
    for one in ids:
        case_id.validate_python(one)
        case_id.validate_python(f"{one}-unbind-0")
        assert len(one) == 13


def test_work_item_ids_fit_and_are_stable(keys: KeyRing) -> None:
    apps = [f"app-{n}" for n in range(500)]
    ids = [work_item_id(keys, PART, app) for app in apps]
    assert len(set(ids)) == 500
    assert ids == [work_item_id(keys.rotated(), PART, app) for app in apps]
    for one in ids:
        item_id.validate_python(one)


def test_work_item_ids_depend_on_the_case_the_app_and_the_ring(keys: KeyRing) -> None:
    mine = work_item_id(keys, PART, "wechat")
    assert mine != work_item_id(keys, PART, "qq")
    assert mine != work_item_id(keys, f"{CASE}-unbind-1", "wechat")
    assert mine != work_item_id(KeyRing.new(), PART, "wechat")


def test_references_have_sixteen_bits_and_are_never_zero() -> None:
    references = {sms_reference(CASE, f"summary-{n}") for n in range(5000)}
    assert min(references) >= 1 and max(references) <= 0xFFFF
    assert len(references) > 4500
    assert sms_reference(CASE, "summary-1") == sms_reference(CASE, "summary-1")
