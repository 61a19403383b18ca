"""The template library `heroicons`: each icon is a reference into one file, which browsers keep.

The settings name it so, in place of the package's own library, which writes every path into every page.
`.ci/icons.py` makes the file of the icons that are in use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()
SPRITE: Final = "images/icons.svg"


def _tag(style: str, pixels: int) -> Callable[..., SafeString]:
    @lru_cache(maxsize=256)
    def reference(name: str, *, size: int = pixels) -> SafeString:
        """An icon of this style, which screen readers pass over."""
        return format_html(
            '<svg width="{0}" height="{0}" aria-hidden="true"><use href="{1}#{2}-{3}"/></svg>',
            *(size, static(SPRITE), style, name),
        )

    return reference


register.simple_tag(_tag("micro", 16), name="heroicon_micro")
register.simple_tag(_tag("outline", 24), name="heroicon_outline")
