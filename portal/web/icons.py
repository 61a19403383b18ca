"""The template library `heroicons`, with each icon rendered once: a page has a dozen, and each is copied as XML.

The settings name it so, in place of the package's own library.
"""

from __future__ import annotations

from functools import lru_cache

from django import template
from heroicons.templatetags import heroicons

register = template.Library()
for style in ("micro", "mini", "outline", "solid"):
    name = f"heroicon_{style}"
    register.simple_tag(lru_cache(maxsize=256)(getattr(heroicons, name)), name=name)
