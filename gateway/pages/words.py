"""What pages say, in Chinese and English: gettext catalogues, `gateway/locale/zh/*.po`, one for each part of the site.

English is what stands in templates and modules; a sentence without its Chinese fails a test. `N_` marks a sentence
that stands in a table and is translated where it is shown. `python -m gateway.pages.words` brings the catalogues up to
date: it names what is missing and takes out what nobody says any more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path

from babel.core import Locale, negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from babel.support import Translations

from domain.citizen import Words
from domain.messages import Language
from domain.sla import SHANGHAI

GATEWAY = Path(__file__).resolve().parent.parent
CATALOGUES = GATEWAY / "locale" / Language.ZH.value

LOCALES: Mapping[Language, Locale] = {Language.ZH: Locale("zh", "Hans_CN"), Language.EN: Locale("en", "GB")}
HTML: Mapping[Language, str] = {Language.ZH: "zh-CN", Language.EN: "en"}
NAMES: Mapping[Language, str] = {Language.ZH: "中文", Language.EN: "English"}
"""Each in its own words: it is read by those who do not read the other."""

METHODS = [("pages/**.py", "python"), ("mail_page.py", "python"), ("oidc.py", "python"), ("sign_in.py", "python")]
METHODS += [("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def N_(text: str) -> str:
    """Marks a sentence for the catalogues; it is translated where it is shown."""
    return text


@cache
def translations(language: Language) -> NullTranslations:
    """The catalogues of a language, as one."""
    if language is Language.EN:
        return NullTranslations()
    whole = Translations()
    for path in sorted(CATALOGUES.glob("*.po")):
        compiled = BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, language.value, abort_invalid=True))
        compiled.seek(0)
        whole.merge(Translations(compiled))
    return whole


def preferred(accept_language: str) -> Language:
    """What a browser would rather read; Chinese if it says nothing we speak."""
    weighed = []
    for part in accept_language.split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    wanted = [tag for _, tag in sorted(weighed, key=lambda one: one[0])]
    return Language(negotiate_locale(wanted, [one.value for one in Language]) or Language.ZH.value)


# ── times ────────────────────────────────────────────────────────────────────────────────────────────


def moment(at: datetime, language: Language) -> str:
    """A time with its zone, in Shanghai's: `2026年8月3日 09:42（北京时间）`, `3 Aug 2026, 09:42 (China time)`."""
    said = format_datetime(
        at, "y年M月d日 HH:mm" if language is Language.ZH else "d MMM y, HH:mm", SHANGHAI, _of(language)
    )
    return f"{said}（北京时间）" if language is Language.ZH else f"{said} (China time)"


def day(at: datetime, language: Language) -> str:
    """The day of a time, in Shanghai."""
    return format_date(at.astimezone(SHANGHAI), "y年M月d日" if language is Language.ZH else "d MMM y", _of(language))


def duration(span: timedelta, language: Language) -> str:
    """About how long: `3天`, `5 hours`; never negative."""
    return format_timedelta(abs(span), threshold=1.2, locale=_of(language))


def words(both: Words, language: Language) -> str:
    """What the domain says in both languages."""
    return both.zh if language is Language.ZH else both.en


def _of(language: Language) -> Locale:
    return LOCALES[language]


# ── the catalogues themselves ────────────────────────────────────────────────────────────────────────


def said() -> Catalog:
    """Every sentence of templates and modules, with where it stands."""
    found = Catalog(charset="utf-8")
    for file, line, text, _comments, context in extract_from_dir(
        GATEWAY, METHODS, {"templates/**.html": {"trimmed": "true"}}, KEYWORDS, callback=None
    ):
        found.add(text, None, [(str(file), line)], context=context)
    return found


def catalogues() -> Iterator[tuple[Path, Catalog]]:
    """The Chinese catalogues as they are."""
    for path in sorted(CATALOGUES.glob("*.po")):
        with path.open("rb") as file:
            yield path, read_po(file, Language.ZH.value, abort_invalid=True)


def missing() -> list[str]:
    """Sentences without their Chinese."""
    there = {message.id for _, catalogue in catalogues() for message in catalogue if message.id and message.string}
    return sorted(str(message.id) for message in said() if message.id and message.id not in there)


def update() -> list[str]:
    """Take out what nobody says any more; what has no Chinese yet."""
    wanted = {message.id for message in said() if message.id}
    for path, catalogue in catalogues():
        kept = Catalog(Language.ZH.value, charset="utf-8", fuzzy=False)
        for message in catalogue:
            if message.id and (path.stem in MADE_ELSEWHERE or message.id in wanted):
                kept.add(message.id, message.string)
        with path.open("wb") as file:
            file.write(HEADER)
            write_po(file, kept, width=0, omit_header=True, sort_output=True)
    return missing()


HEADER = b"""msgid ""
msgstr ""
"Language: zh\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""
"""Of every catalogue: what gettext has to know, and no dates that change by themselves."""

MADE_ELSEWHERE = frozenset({"problems", "story"})
"""Catalogues whose sentences stand in the domain's tables and problems, not in pages."""

if __name__ == "__main__":
    if lacking := update():
        sys.exit("without Chinese:\n" + "\n".join(f"  {one}" for one in lacking))
