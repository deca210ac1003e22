"""Signed links: whoever changes one, or comes too late, is told so and nothing else happens."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.keys import KeyRing
from store.links import BadLink, Link
from tests.strategies import DAY, PART, SECOND, T0

LINK = Link("tencent", PART, T0 + DAY)
KEYS = KeyRing.new()


def word_of(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_link_opens_until_it_expires() -> None:
    word = LINK.sign(KEYS)
    assert Link.open(KEYS, word, T0) == LINK
    assert Link.open(KEYS, word, T0 + DAY - SECOND) == LINK
    with pytest.raises(BadLink, match="expired"):
        Link.open(KEYS, word, T0 + DAY)


def test_a_link_is_one_word_of_a_url() -> None:
    word = LINK.sign(KEYS)
    assert word.isascii() and not set(word) & set("/+=?&#% ")


@pytest.mark.parametrize("place", range(0, len(LINK.sign(KEYS)) - 1, 7))
def test_a_changed_link_is_refused(place: int) -> None:
    word = LINK.sign(KEYS)
    other = "A" if word[place] != "A" else "B"
    with pytest.raises(BadLink, match="damaged"):
        Link.open(KEYS, word[:place] + other + word[place + 1 :], T0)


def test_a_link_says_nothing_to_others() -> None:
    raw = urlsafe_b64decode(LINK.sign(KEYS) + "==")
    assert PART.encode() not in raw and b"tencent" not in raw
    assert LINK.sign(KEYS) != LINK.sign(KEYS)


def test_another_rings_link_is_refused() -> None:
    with pytest.raises(BadLink, match="damaged"):
        Link.open(KEYS, LINK.sign(KeyRing.new()), T0)


def test_links_outlive_a_rotation() -> None:
    assert Link.open(KEYS.rotated(), LINK.sign(KEYS), T0) == LINK
    with pytest.raises(BadLink):
        Link.open(KEYS, LINK.sign(KEYS.rotated()), T0)


def test_half_a_link_is_damaged() -> None:
    word = LINK.sign(KEYS)
    for length in range(len(word) - 2):
        with pytest.raises(BadLink):
            Link.open(KEYS, word[:length], T0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "////",
        "tencent/case/soon/k1:00",
        f"tencent/{PART}/{10**30}/k1:00",
        f"tencent/{PART}/-{10**30}/k1:00",
        f"tencent/{PART}/99999999999999/k1:00",
        f"tencent/{PART}/1790000000/k1:é",
        f"tencent/{PART}/1790000000/k9:00",
        f"tencent/{PART}/1790000000/",
    ],
)
def test_a_forged_link_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadLink):
        Link.open(KEYS, word_of(text), T0)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: urlsafe_b64encode(b).decode()))
def test_any_word_is_refused_in_words(word: str) -> None:
    with pytest.raises(BadLink):
        Link.open(KEYS, word, T0)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12) | st.integers().map(str), min_size=4, max_size=4))
def test_any_text_of_a_links_shape_is_refused_in_words(parts: list[str]) -> None:
    with pytest.raises(BadLink):
        Link.open(KEYS, word_of("/".join(parts)), T0)
