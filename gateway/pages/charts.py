"""Charts as SVG, made here by pygal. They are shown as images: no script, no tooltip, and colours of our own that are
readable in the dark."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import pygal

STYLE = """
:root{color-scheme:light dark}
text{font:17px system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC","WenQuanYi Micro Hei",sans-serif;fill:#0b0c0c;stroke:none}
.background{fill:none}
.guide,.axis path{stroke:#b1b4b6;stroke-width:1;fill:none}
.axis.x text{text-anchor:middle}.axis.y text{text-anchor:end}.axis.x text[transform]{text-anchor:start}
.no_data{text-anchor:middle}
.nofill{fill:none}
.line{stroke-width:3}
.color-0{fill:#5694ca;stroke:#5694ca}.color-1{fill:#f0b15a;stroke:#f0b15a}.color-2{fill:#f47738;stroke:#f47738}
.color-3{fill:#d4351c;stroke:#d4351c}.color-4{fill:#a3305e;stroke:#a3305e}.color-5{fill:#7a4fb5;stroke:#7a4fb5}
.color-6{fill:#4c2c92;stroke:#4c2c92}
.line.nofill{fill:none}
@media (prefers-color-scheme:dark){
text{fill:#f3f2f1}
.guide,.axis path{stroke:#54595d}
.color-4{fill:#d9709b;stroke:#d9709b}.color-5{fill:#b094e0;stroke:#b094e0}.color-6{fill:#8f8cf0;stroke:#8f8cf0}
}
"""

POLICY = (
    "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""What a chart may do that is opened by itself: nothing but its own style, which is known by its digest."""

SERIES = 7
"""Colours there are."""

MOST_LETTERS = 18
"""Of a label."""

LATIN = 0x24F

Series = Iterable[tuple[str, Sequence[float | None]]]

_PLAIN: dict[str, Any] = {
    "js": [],
    "no_prefix": True,
    "show_dots": True,
    "dots_size": 4,
    "width": 720,
    "margin": 8,
    "legend_at_bottom": True,
    "legend_at_bottom_columns": 2,
    "truncate_legend": -1,
    "truncate_label": MOST_LETTERS,
    "disable_xml_declaration": True,
    "value_formatter": lambda value: f"{value:,.0f}" if value == int(value) else "",  # there is no half a case
    "print_values": False,
    "min_scale": 2,
    "max_scale": 7,
}


def _style() -> pygal.style.Style:
    """Sizes, by which pygal keeps room for words."""
    return pygal.style.Style(label_font_size=17, major_label_font_size=17, legend_font_size=17, no_data_font_size=24)


def bars(labels: Sequence[str], series: Series, nothing: str) -> str:
    """Lying bars, one on a line with its parts behind each other; the first label on top."""
    parts = _there(series)
    chart = pygal.HorizontalStackedBar(
        **{**_PLAIN, "margin_left": 8 + _wider(labels), "margin_bottom": 8 + 6 * len(parts)},
        style=_style(),
        height=80 + 32 * max(3, len(labels)) + 18 * len(parts),
        no_data_text=nothing,
    )
    chart.x_labels = list(labels)[::-1]
    for name, values in parts:
        chart.add(name, [value or None for value in values][::-1])
    return _drawn(chart)


def columns(labels: Sequence[str], series: Series, nothing: str) -> str:
    """Standing bars, their parts on each other."""
    chart = pygal.StackedBar(**_PLAIN, style=_style(), height=380, no_data_text=nothing)
    chart.x_labels = list(labels)
    for name, values in _there(series):
        chart.add(name, [value or None for value in values])
    return _drawn(chart)


def lines(labels: Sequence[str], series: Series, nothing: str) -> str:
    """Shares over time, from 0 to 100 per cent; None is a gap."""
    percent = {
        "value_formatter": lambda value: f"{value:.0f} %",
        "range": (0, 100),
        "margin_bottom": 30,
        "margin_right": 40,
    }
    chart = pygal.Line(**{**_PLAIN, **percent}, style=_style(), height=440, no_data_text=nothing)
    chart.x_labels = list(labels)
    for name, values in series:
        chart.add(name, [None if value is None else value * 100 for value in values], allow_interruptions=True)
    return _drawn(chart)


def _there(series: Series) -> list[tuple[str, Sequence[float | None]]]:
    """The series of a chart; none where every value is nothing, so that the chart says so."""
    parts = list(series)
    return parts if any(value for _, values in parts for value in values) else []


def _wider(labels: Sequence[str]) -> int:
    """The room Chinese words need besides what pygal keeps for them, which it takes for Latin ones."""
    return 7 * max((sum(ord(letter) > LATIN for letter in label[:MOST_LETTERS]) for label in labels), default=0)


def _drawn(chart: Any) -> str:
    chart.add_xml_filter(_bare)
    drawn: str = chart.render()
    return drawn


def _bare(root: Element) -> Element:
    """Without scripts, what only scripts show, and pygal's own style."""
    for parent in list(root.iter()):
        for child in list(parent):
            word = child.tag if isinstance(child.tag, str) else "comment"
            tooltip = word == "g" and "text-overlay" in child.get("class", "").split() and not len(child)
            if word in ("script", "comment", "desc", "title") or tooltip or child.get("style"):
                parent.remove(child)
            elif word == "style":
                child.text = STYLE
    return root
