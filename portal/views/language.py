"""A person chooses the language of pages and mail."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from portal.access import checks_itself
from portal.actions.language import choose_language
from portal.audit.log import note
from portal.forms.language import LanguageForm
from portal.models import User
from portal.web.language import in_language_of, is_chosen


@require_POST
@checks_itself
def language_choose(request: HttpRequest) -> HttpResponse:
    """Store the choice; 404 if only one language is offered."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    form = LanguageForm(request.POST)
    if not is_chosen() or not form.is_valid():
        raise Http404
    choose_language(request.user, form.cleaned_data["language"], by=request.user.principal)
    note("language_chosen", request, language=request.user.language)
    if request.user.language:
        with in_language_of(request.user):
            messages.success(request, _("Language changed."))
    return redirect("mfa_index")
