"""The people of the organization: list, invite."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_admin, get_member, people_of
from portal.actions.member import add_member
from portal.audit.log import note
from portal.exceptions import Conflict, InvalidInput
from portal.forms.person import PersonNewForm
from portal.forms.refusal import show_refusal
from portal.htmx import render_page
from portal.mail import reaches_people
from portal.models import Membership
from portal.operated import instances_of_organization
from portal.searching import as_typed, with_words
from portal.views.person_link import hand_over_link

PAGE_SIZE = 50


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """All people, with a search for words in name and address, in any order."""
    member = get_member(request)
    query = as_typed(request.GET.get("q", ""))
    page = Paginator(_found(member, query), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "query": query, "page_query": f"{urlencode({'q': query})}&" if query else ""}
    return render_page(request, "portal/people.html", context, fragment="rows")


@require_http_methods(["GET", "HEAD", "POST"])
def person_new(request: HttpRequest) -> HttpResponse:
    """Invite a member; the link is mailed to them, or shown once if the portal sends no mail."""
    member = get_admin(request)
    known = instances_of_organization(member.organization_id)
    form = PersonNewForm(request.POST or None, known=known)
    if request.method == "POST" and form.is_valid():
        try:
            person = add_member(member.organization, by=member.principal, **form.cleaned_data)
        except (Conflict, InvalidInput) as refusal:
            show_refusal(form, refusal)
        else:
            note("invited", request, invited=person.pk, role=person.role)
            return hand_over_link(request, person, by=member.principal, is_new=True)
    return render(request, "portal/person_new.html", {"form": form, "by_mail": reaches_people()})


def _found(member: Membership, query: str) -> QuerySet[Membership]:
    return with_words(people_of(member), query, "user__name", "user__email").order_by("user__email")
