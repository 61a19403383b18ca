"""The queues of jobs in Django admin, from django-rq. What staff do to jobs by hand gets a line in the journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import django_rq.admin
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django_rq.models import Dashboard

from portal.actions.acting import acted
from portal.audit.fields import cut
from vpn.admin.base import principal_of

_REDIRECT: Final = 302


admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class QueueAdmin(django_rq.admin.QueueAdmin):
    """Its pages act by POST and then lead elsewhere; a page that only asks does not."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There are no rows: the table is not there."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The same addresses, with a line for each act."""
        found: list[URLPattern] = super().get_urls()  # type: ignore[no-untyped-call]
        for entry in found:
            entry.callback = _noted(entry.callback, entry.name or "")
        return found


def _noted(view: Callable[..., HttpResponse], name: str) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        response = view(request, *args, **options)
        if request.method == "POST" and response.status_code == _REDIRECT and request.user.is_staff:
            told: dict[str, Any] = {
                "did": name.removeprefix("django_rq_"),
                **{key: str(value) for key, value in options.items()},
            }
            if chosen := request.POST.get("action"):
                told |= {"action": chosen[:40], "jobs": cut(request.POST.getlist("job_ids"))}
            acted(principal_of(request), "jobs handled", Dashboard(), details=told)
        return response

    return answer
