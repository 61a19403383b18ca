"""Tell the owner of an account by mail what was changed in a browser."""

from __future__ import annotations

from django.http import HttpRequest

from portal.actions.notice_mail import queue_notice
from portal.models import User
from portal.user_agent import browser_name


def tell_owner(request: HttpRequest, user: User, notice: str) -> None:
    """Queue the notice, with the address and browser of the request, in which the owner did it."""
    origin = f"{request.META.get('REMOTE_ADDR', '')}, {browser_name(request.META.get('HTTP_USER_AGENT', ''))}"
    queue_notice(user, notice, by=user.principal, origin=origin)
