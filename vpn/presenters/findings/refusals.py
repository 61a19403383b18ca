"""The words for refusals: why the agent could not do something, and what to do. `%(subject)s` is what it is about."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise

from vpn.wire.finding import Code

WORDS: Final[dict[Code, Promise]] = {}
