"""Creating an instance: where, and what will it be called?"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import get_admin
from portal.exceptions import Conflict, InvalidInput
from portal.forms.refusal import show_refusal
from portal.models import Membership
from vpn.access import sites_of
from vpn.actions.instances.instance import create_instance, hostname_fault
from vpn.forms.instance import InstanceForm
from vpn.models import Instance, Region
from vpn.presenters.regions.choice import choose_region
from vpn.views.regions import measuring


@require_http_methods(["GET", "HEAD", "POST"])
def instance_new(request: HttpRequest) -> HttpResponseBase:
    """The form; then the progress page of the new instance."""
    member = get_admin(request)
    choice = choose_region(list(Region.objects.with_room()), sites_of(member), chosen=request.POST.get("region", ""))
    form = InstanceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        instance = _create(member, form)
        if instance is not None:
            return redirect("instance_progress", pk=instance.pk)
    page = render(request, "vpn/instances/create.html", {"form": form, "choice": choice})
    return measuring(request, page, choice)


@require_safe
def instance_hostname_check(request: HttpRequest) -> HttpResponse:
    """Whether a hostname is available, in words, during typing."""
    member = get_admin(request)
    hostname = request.GET.get("hostname", "").strip()
    fault = hostname_fault(hostname, member.organization) if hostname else ""
    context = {"hostname": hostname, "fault": fault, "domain": f".{settings.VPN_DOMAIN}"}
    return render(request, "vpn/instances/hostname.html", context)


def _create(member: Membership, form: InstanceForm) -> Instance | None:
    try:
        return create_instance(member.organization, by=member.principal, **form.cleaned_data)
    except (Conflict, InvalidInput) as refusal:
        show_refusal(form, refusal)
        return None
