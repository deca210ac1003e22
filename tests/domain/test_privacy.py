"""Numbers and ID tails: what is taken, how it is masked, and that nothing clear slips out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.privacy import ID_TAIL, IdTail, PhoneNumber, mask_text
from store.vault import Person

CLEAR = "13800138000"
MASKED = "138****8000"
WAYS_TO_TYPE_IT = [
    CLEAR,
    "+8613800138000",
    "8613800138000",
    "008613800138000",
    "+86 138 0013 8000",
    "138-0013-8000",
    "138 0013 8000",
    "(+86)13800138000",
    " 13800138000\n",
]

numbers = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
tails = st.from_regex(r"(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]", fullmatch=True)


@pytest.mark.parametrize("typed", WAYS_TO_TYPE_IT)
def test_a_number_as_people_type_it(typed: str) -> None:
    number = PhoneNumber.parse(typed)
    assert (number.national, number.e164, number.mask()) == (CLEAR, "+8613800138000", MASKED)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "1380013800",
        "138001380000",
        "12800138000",
        "03800138000",
        "+4413800138000",
        "1380013800x",
        "１３８００１３８０００",
        "abc",
    ],
)
def test_what_is_no_number(typed: str) -> None:
    with pytest.raises(ValueError) as raised:
        PhoneNumber.parse(typed)
    assert not typed or typed not in str(raised.value)


@pytest.mark.parametrize("value", [CLEAR + "\n", "+86" + CLEAR, " " + CLEAR, ""])
def test_the_type_itself_takes_eleven_digits_only(value: str) -> None:
    with pytest.raises(ValueError):
        PhoneNumber(value)


@given(numbers)
def test_a_number_shows_seven_digits_at_most(national: str) -> None:
    number = PhoneNumber(national)
    shown = [
        str(number),
        repr(number),
        f"{number}",
        f"{number!r}",
        repr([number]),
        repr(Person(number)),
    ]
    for text in shown:
        assert national not in text and national[3:7] + national[-4:] not in text
    assert number.mask() == national[:3] + "****" + national[-4:]
    assert PhoneNumber.parse(number.e164) == number


@pytest.mark.parametrize("value", ["010010", "31999X", "281234", "09000X", "300000", "120123"])
def test_id_tails(value: str) -> None:
    assert IdTail.parse(value).value == value
    assert ID_TAIL.match(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "000010",
        "320010",
        "99123X",
        "01001",
        "0100100",
        "X10010",
        "01X010",
        "0100XX",
        "01001x1",
        "01001 ",
        "０１００１０",
        "01123X\n",
    ],
)
def test_what_is_no_id_tail(value: str) -> None:
    with pytest.raises(ValueError) as raised:
        IdTail(value)
    assert not value or value not in str(raised.value)


def test_a_small_x_is_a_large_one() -> None:
    assert IdTail.parse(" 01123x ") == IdTail("01123X")


@given(tails)
def test_an_id_tail_shows_two_characters(value: str) -> None:
    tail = IdTail(value)
    for text in (str(tail), repr(tail), f"{tail}", repr(Person(PhoneNumber(CLEAR), tail))):
        assert value not in text and value[:4] not in text.replace(CLEAR, "")
    assert tail.mask() == "****" + value[-2:]


@pytest.mark.parametrize("typed", WAYS_TO_TYPE_IT)
def test_a_text_is_masked_however_the_number_is_typed(typed: str) -> None:
    """The last fence before a log line: what `parse` takes for a number must not pass it."""
    masked = mask_text(f"from {typed} to")
    assert CLEAR not in "".join(c for c in masked if c.isdigit())
    assert "00138" not in "".join(c for c in masked if c.isdigit())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("号码13800138000已受理", f"号码{MASKED}已受理"),
        ("tel:+8613800138000;ext=1", f"tel:{MASKED};ext=1"),
        ("13800138000,13912345678", f"{MASKED},139****5678"),
        ("phone_13800138000", f"phone_{MASKED}"),
        ("case R0123456789AB", "case R0123456789AB"),
        ("ledger position 20260930100000", "ledger position 20260930100000"),
        ("W13800138000000000000", "W13800138000000000000"),
        ("12800138000", "12800138000"),
    ],
)
def test_mask_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@given(st.text(max_size=20), numbers, st.text(max_size=20))
def test_masking_twice_changes_nothing_more(before: str, number: str, after: str) -> None:
    once = mask_text(f"{before} {number} {after}")
    assert f" {number} " not in once
    assert mask_text(once) == once
