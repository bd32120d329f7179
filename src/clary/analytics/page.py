"""Pages for people: one file of HTML, its charts inside, in light and dark; no script, nothing to load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clary.analytics.draw import draw
from clary.analytics.looks import DARK, LIGHT, View, specification

_ID = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    light: Markup
    dark: Markup


def render(template: str, values: Mapping[str, Any], *, templates: BaseLoader | None = None) -> str:
    """A page from a template that extends `base.html`; `templates` has further ones. All texts are escaped."""
    own = PackageLoader("clary.analytics")
    environment = Environment(
        loader=ChoiceLoader([templates, own]) if templates else own,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def pictures(charts: Mapping[str, View]) -> Iterator[Picture]:
    """Each chart as part of a page. Raises CannotDraw where the library for it is missing."""
    for name, view in charts.items():
        light, dark = (
            _inline(draw(specification(view, look), "svg").decode(), f"{name}-{kind}-")
            for kind, look in (("light", LIGHT), ("dark", DARK))
        )
        yield Picture(name.replace("_", " "), light, dark)


def _inline(svg: str, prefix: str) -> Markup:
    """An SVG as part of a page: its ids are its own, and it shrinks with the page.

    Safe to insert: the library escapes the texts it draws.
    """
    body = _ID.sub(rf"\g<1>{prefix}", svg[svg.index("<svg") :])
    return Markup(body)
