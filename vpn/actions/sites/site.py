"""Creating, changing and deleting sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted, one_act
from portal.actions.quota import lock_organization, require_room
from portal.exceptions import Conflict, InvalidInput
from portal.figures import grouped
from portal.models import Organization, Principal, Quota
from vpn.actions.activity.planning import planned_change, touch_peer
from vpn.actions.change import Scope, if_possible
from vpn.actions.firewall.rules import forget_end
from vpn.actions.peers.input import prepare_networks
from vpn.actions.peers.labels import rename_site
from vpn.actions.sites.subnets import lock_site, set_subnets
from vpn.addressing.aliases import AliasFault, checked_aliases, published
from vpn.addressing.networks import is_broad
from vpn.choices import Platform
from vpn.constants import MOST_SUBNETS
from vpn.geo.places import clearly_meant, find_places
from vpn.models import Peer, Site
from vpn.platforms.translation import why_no_alias
from vpn.platforms.versions import VERSION_LENGTH, version_fault
from vpn.validators import parse_network, validate_label_text

_FIELDS = ("name", "platform", "platform_version", "place", "latitude", "longitude", "subnets", "alias")
_TEXT_LENGTHS = {"platform_version": VERSION_LENGTH, "place": 80}


def create_site(organization: Organization, *, by: Principal, name: str, platform: str, **details: Any) -> Site:
    """Add a site to an organization; raises InvalidInput, Conflict (name taken) or QuotaReached."""
    site = Site(organization=organization)
    _fill(site, {"name": name, "platform": platform, **details})
    with transaction.atomic():
        require_room(site.organization_id, Quota.SITES)
        require_room(site.organization_id, Quota.SUBNETS, len(site.subnets), field="subnets")
        _save(site)
        acted(by, "created", site)
    return site


def update_site(
    site: Site, *, by: Principal, confirm_broad_routes: bool = False, joining: Sequence[UUID] = (), **changes: Any
) -> Site:
    """Change a site and the subnets that its peers advertise on every instance; absent fields stay.

    `confirm_broad_routes` confirms subnets that nest with other sites'. `joining` are instances that the caller
    connects next: they are locked in the order of all. Returns the site as saved. Raises InvalidInput or Conflict; then
    nothing is saved anywhere.
    """
    prepare_networks(changes.get("subnets", ()))
    with transaction.atomic():
        lock_organization(site.organization_id)
        locked = lock_site(site.pk, *joining)
        with one_act(by, "changed", locked, is_change=True):
            _change(locked, changes, confirmed=confirm_broad_routes, by=by)
    return locked


def _change(locked: Site, changes: dict[str, Any], *, confirmed: bool, by: Principal) -> None:
    former_name, former_subnets, former_router = locked.name, locked.subnets, _router_of(locked)
    former_aliases = locked.alias or []
    _fill(locked, changes)
    wanted, locked.subnets = locked.subnets, former_subnets
    with _noting_router_change(locked, by) if _router_of(locked) != former_router else nullcontext():
        _save(locked)
    if locked.name != former_name:
        rename_site(locked, by=by)
    renamed = {text: published([text], locked.alias or (), former_aliases)[0] for text in former_subnets}
    set_subnets(locked, wanted, confirmed=confirmed, by=by, renamed=renamed)


def _router_of(site: Site) -> tuple[str, str, list[str]]:
    return site.platform, site.platform_version, site.alias or []


@contextmanager
def _noting_router_change(site: Site, by: Principal) -> Iterator[None]:
    """Note that the files of the locked site's peers change with its router, on each of their instances."""
    peers = Peer.objects.filter(site=site.pk).exclude(delivered_digest="")
    with ExitStack() as stack:
        for peer in peers.select_related("instance", "member__user", "site").order_by("instance_id"):
            change = planned_change(peer.instance_id, by=by, scope=Scope.PEERS)
            if stack.enter_context(if_possible(change)):
                touch_peer(peer)
        yield


def delete_site(site: Site, *, by: Principal) -> None:
    """Delete a site and the firewall rules that name it; raises Conflict naming its connected instances."""
    with transaction.atomic():
        locked = Site.objects.select_for_update().get(pk=site.pk)
        names = sorted(locked.peers.values_list("instance__name", flat=True).distinct())
        if names:
            raise Conflict(
                _("%(locked)s is still connected to %(names)s.") % {"locked": locked.name, "names": ", ".join(names)},
                code="site-in-use",
                next_step=_("Delete its peer there first."),
            )
        with one_act(by, "deleted", locked):
            forget_end(locked.organization_id, f"site:{locked.pk}", by=by)
        locked.delete()


def _fill(site: Site, values: dict[str, Any]) -> None:
    """Set these values on the site in stored form; raises InvalidInput with every fault."""
    errors: dict[str, list[str]] = {}
    former_subnets, former_place, former_point = site.subnets, site.place, (site.latitude, site.longitude)
    former_aliases = site.alias or []
    for field in _FIELDS:
        if field in values:
            try:
                setattr(site, field, _cleaned(field, values[field]))
            except ValidationError as error:
                errors[field] = error.messages
    if site.platform in Platform.values and (fault := version_fault(site.platform, site.platform_version)):
        errors["platform_version"] = [fault]
    if site.place != former_place and (site.latitude, site.longitude) in {former_point, (None, None)}:
        _locate(site, former_place, former_point)
    if not {"latitude", "longitude"} & errors.keys() and (site.latitude is None) != (site.longitude is None):
        errors["longitude" if site.longitude is None else "latitude"] = [_("Give both coordinates, or none.")]
    if site.platform not in Platform.values:
        errors["platform"] = [_("Choose one of %(platform)s.") % {"platform": ", ".join(Platform.values)}]
    else:
        errors |= _carried_already(site)
    if broad := [text for text in site.subnets if text not in former_subnets and is_broad(parse_network(text))]:
        errors.setdefault("subnets", []).append(
            _(
                "%(broad)s is a route through this router, not a subnet behind it. Leave it out here, and add it to "
                "the site's peer on the instance that should use it."
            )
            % {"broad": ", ".join(broad)}
        )
    errors = errors or _publish(site, former_aliases)
    if errors:
        raise InvalidInput(errors)


def _publish(site: Site, former: list[str]) -> dict[str, list[str]]:
    """Put the site's aliases in place of their LANs; returns the faults by field."""
    if not (site.alias or former):
        return {}
    if site.alias and (reason := why_no_alias(site.platform, site.platform_version)):
        return {"alias": [reason]}
    try:
        aliases = checked_aliases(site.alias or [], published(site.subnets, (), former))
    except AliasFault as fault:
        return {"alias": [str(fault)]}
    site.subnets = published(site.subnets, aliases, former)
    site.alias = aliases or None
    return {}


def _locate(site: Site, former_place: str, former_point: tuple[float | None, float | None]) -> None:
    """Give a site the coordinates of its new place if the name is clear, unless it has coordinates of its own."""
    former = clearly_meant(find_places(former_place))
    if former_point not in {(None, None), former and former.point}:
        return
    place = clearly_meant(find_places(site.place))
    site.latitude, site.longitude = place.point if place is not None else (None, None)


def _save(site: Site) -> None:
    try:
        with transaction.atomic():
            site.save()
    except IntegrityError:
        raise Conflict(
            _("There is a site called %(site)s already.") % {"site": site.name}, field="name", code="name-taken"
        ) from None


def _carried_already(site: Site) -> dict[str, list[str]]:
    """Refuse a platform that does not support a protocol which the site uses now."""
    for peer in site.peers.all():
        reason = site.why_not(peer.protocol)
        if reason:
            return {
                "platform": [
                    _("%(site)s is connected over %(protocol)s. %(reason)s")
                    % {"site": site.name, "protocol": peer.get_protocol_display(), "reason": reason}
                ]
            }
    return {}


def _cleaned(field: str, value: Any) -> Any:
    """The value as it is stored; raises ValidationError."""
    if field == "subnets":
        return _cleaned_subnets(value)
    if field == "alias":
        return _cleaned_aliases(value or ())
    if field in {"latitude", "longitude"}:
        limit = 90 if field == "latitude" else 180
        if value is not None and not -limit <= value <= limit:
            raise ValidationError(_("Degrees go from -%(limit)s to %(limit)s.") % {"limit": limit})
        return value
    # A version pasted from a terminal may contain extra white space.
    text = " ".join(str(value).split()) if field == "platform_version" else str(value).strip()
    longest = _TEXT_LENGTHS.get(field)
    if field == "name":
        validate_label_text(text)
    elif longest and (len(text) > longest or not text.isprintable()):
        raise ValidationError(_("Use at most %(longest)s characters, on one line.") % {"longest": longest})
    return text


def _cleaned_aliases(texts: Sequence[str]) -> list[str] | None:
    try:
        return checked_aliases(texts) or None
    except AliasFault as fault:
        raise ValidationError(str(fault)) from None


def _cleaned_subnets(texts: Sequence[str]) -> list[str]:
    if len(texts) > MOST_SUBNETS:
        raise ValidationError(
            _("A site has at most %(most_subnets)s subnets; these are %(texts)s.")
            % {"most_subnets": grouped(MOST_SUBNETS), "texts": grouped(len(texts))}
        )
    errors: list[str] = []
    networks: dict[str, None] = {}
    for text in texts:
        try:
            networks[str(parse_network(text))] = None
        except ValidationError as error:
            errors += error.messages
    if errors:
        raise ValidationError(errors)
    return list(networks)
