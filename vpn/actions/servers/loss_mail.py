"""Mail to staff about a server that is lost."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.actions.acting import acted
from portal.models import Principal, User
from portal.web.language import in_language_of
from vpn.models import Server


def mail_staff_of_loss(server: Server, *, by: Principal) -> None:
    """Write to all staff, unless they were told of this loss already. Raises what the mail server refuses."""
    staff = User.objects.filter(is_staff=True, is_active=True).exclude(email="").order_by("email")
    if not Server.objects.filter(pk=server.pk, loss_mailed_at=None).update(loss_mailed_at=timezone.now()):
        return
    acted(by, "staff mailed", server)
    try:
        for user in staff:
            with in_language_of(user):
                EmailMessage(_subject(server), _body(server), to=[user.email]).send()
    except BaseException:
        Server.objects.filter(pk=server.pk).update(loss_mailed_at=None)
        raise


def _subject(server: Server) -> str:
    return _("The server %(name)s in %(region)s is lost") % {"name": server.name, "region": server.region.name}


def _body(server: Server) -> str:
    count = server.instances.count()
    since = server.silent_since or server.state_since or timezone.now()
    silent = _("The portal has had no answer from %(name)s since %(since)s UTC.")
    carried = ngettext("It carries %(count)d instance.", "It carries %(count)d instances.", count)
    rebuilt = _(
        "Their hubs are being created on other servers of the region, where there is room. When the server comes back, "
        "it no longer runs them."
    )
    left = _("They stay where they are. When the server comes back, they go on.")
    parts = [
        silent % {"name": server.name, "since": f"{since:%Y-%m-%d %H:%M}"},
        carried % {"count": count},
        rebuilt if server.region.rebuild_lost else left,
        f"{settings.PUBLIC_URL}/admin/vpn/server/{server.pk}/change/",
    ]
    return "\n\n".join(map(str, parts)) + "\n"
