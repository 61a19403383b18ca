"""Times on receipts."""

from __future__ import annotations

from django import template

from vpn.presenters.receipts import time_of_day

register = template.Library()
register.filter("to_tenth", time_of_day)
