"""The twenty scenarios every change has to pass, and the tests that are named after them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

SCENARIOS = {
    "happy query": "test_happy_query",
    "partial at 48 h": "test_partial_at_48_h",
    "worker killed mid fan-out": "test_worker_killed_mid_fan_out",
    "ID mismatch at 23:59:59 and 24:00:00": "test_id_mismatch_at_23_59_59_and_24_00_00",
    "typos are free": "test_typos_are_free",
    "lock-out attack": "test_lock_out_attack",
    "code abuse": "test_code_abuse_",
    "cancelled number": "test_cancelled_number",
    "SMS undelivered twice": "test_sms_undelivered_twice",
    "renewal boundary ±1 s": "test_renewal_boundary_",
    "not second-hand / unknown": "test_not_second_hand_",
    "working-day clock": "test_working_day_clock_",
    "overdue and late success": "test_overdue_and_late_success",
    "exempt": "test_exempt",
    "no takeover": "test_no_takeover",
    "dispute ladder to investigation": "test_dispute_ladder_to_investigation",
    "batch before re-issue, day 89 and day 90": "test_batch_before_reissue_day_89_and_day_90",
    "hostile enterprise": "test_hostile_enterprise_",
    "privacy after 100 cases": "test_privacy_after_100_cases",
    "withdrawal before acknowledgement": "test_withdrawal_before_acknowledgement",
}


@cache
def names() -> set[str]:
    """Every test function there is."""
    trees = (ast.parse(path.read_text()) for path in TESTS.rglob("test_*.py"))
    functions = (node for tree in trees for node in ast.walk(tree))
    return {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_a_test_of_its_name(scenario: str) -> None:
    wanted = SCENARIOS[scenario]
    assert any(name == wanted or (wanted.endswith("_") and name.startswith(wanted)) for name in names())
