"""When devices end."""

from __future__ import annotations

from django import template

from vpn.presenters.peers.end import end_words

register = template.Library()
register.filter("end_words", end_words)
