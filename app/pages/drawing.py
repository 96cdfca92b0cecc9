"""Drawings: a Vega-Lite specification becomes a static SVG that the page carries, so no script is needed to see it.

What comes out is built anew from a short list of elements and attributes. Names out of a stranger's model are in it as
text; nothing that a browser would run or fetch can be. Colours are the style sheet's, so a drawing follows light and
dark.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET  # - only what our own renderer wrote is read
from functools import lru_cache
from typing import Any

import structlog
from markupsafe import Markup

from app.pages.artist import Artist, NoDrawingError

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = frozenset({"svg", "g", "path", "line", "rect", "circle", "text", "tspan"})
ATTRIBUTES = frozenset({
    "transform", "d", "x", "y", "x1", "y1", "x2", "y2", "width", "height", "viewBox", "r", "cx", "cy", "fill", "stroke",
    "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity", "font-size", "font-weight",
    "text-anchor",
})  # fmt: skip
PLAIN = re.compile(r"[\w\s#.,()%+-]*")
"""What a value may be made of: numbers, paths, `var(--ink)`. Nothing with a colon, a quote or a bracket of markup."""
KEPT_DRAWINGS = 64  # A page has about a dozen; reports do not change, so a page looked at again costs nothing.

MISSING = Markup('<p class="muted">The drawing could not be made. Its numbers are there to take along.</p>')

Spec = dict[str, Any]

THEME: Spec = {
    "font": "Liberation Sans, Arial, Helvetica",  # of one width in all three, so that no label outgrows its place
    "background": "transparent",
    "padding": 2,
    "view": {"stroke": "var(--line)"},
    "axis": {
        "labelColor": "var(--ink)", "titleColor": "var(--ink)", "gridColor": "var(--line)",
        "domainColor": "var(--muted)", "tickColor": "var(--muted)",
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 600,
    },
    "legend": {
        "labelColor": "var(--ink)", "titleColor": "var(--ink)", "labelFontSize": 12, "orient": "top", "title": None,
        "labelLimit": 260, "symbolSize": 90, "symbolStrokeWidth": 2,
    },
    "title": {"color": "var(--ink)", "fontSize": 13, "anchor": "start"},
    "text": {"color": "var(--ink)", "fontSize": 12},
}  # fmt: skip

log = structlog.get_logger(__name__)
artist = Artist()


def draw(spec: Spec, label: str) -> Markup:
    """The drawing as markup; `label` is what a screen reader says in its place."""
    try:
        return _drawn(json.dumps(spec | {"config": THEME}, sort_keys=True), label)
    except (NoDrawingError, OSError) as error:
        log.error("no_drawing", reason=str(error)[:200])
        return MISSING


@lru_cache(maxsize=KEPT_DRAWINGS)
def _drawn(spec: str, label: str) -> Markup:
    return Markup(clean(artist.draw(spec), label))  # noqa: S704 - built anew from allowed parts


def clean(drawing: str, label: str) -> str:
    """The drawing with nothing but allowed elements and attributes, and names of marks as titles."""
    kept = _kept(ET.fromstring(drawing))  # noqa: S314 - see the import
    if kept is None:
        raise ValueError("the renderer wrote no SVG")
    kept.attrib |= {"class": "drawing", "role": "img", "aria-label": label}
    return ET.tostring(kept, encoding="unicode")


def _kept(element: ET.Element) -> ET.Element | None:
    name = element.tag.removeprefix(SVG)
    if name not in ELEMENTS or element.get("display") == "none" or element.get("d") in ("", "M0,0h0v0h0Z"):
        return None
    attributes = {k: v for k, v in element.attrib.items() if k in ATTRIBUTES and PLAIN.fullmatch(v)}
    made = ET.Element(name, attributes)
    made.text = element.text
    if name in ("path", "rect", "circle") and element.get("aria-label"):
        ET.SubElement(made, "title").text = element.get("aria-label")
    made.extend(child for part in element if (child := _kept(part)) is not None)
    return None if name == "g" and not len(made) else made
