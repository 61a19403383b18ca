"""Regions: where hubs can run."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, ClassVar, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpn.choices import Driver, ServerState
from vpn.validators import validate_probe_url

if TYPE_CHECKING:
    from vpn.models.server import Server


class RegionQuerySet(models.QuerySet["Region"]):
    """Regions, with what their servers have room for."""

    def with_room(self) -> RegionQuerySet:
        """Annotate what `why_closed` would otherwise query for each region."""
        ready = Region.ready_servers().filter(region=OuterRef("pk"))
        accounts = Region.objects.filter(pk=OuterRef("pk"), cloud__isnull=False)
        servers = Region.all_servers().filter(region=OuterRef("pk"))
        return self.annotate(
            has_ready=Exists(ready),
            has_room=Exists(_with_room(ready)),
            has_account=Exists(accounts),
            has_cordoned=Exists(servers.filter(cordoned=True)),
            has_uncordoned=Exists(servers.filter(cordoned=False)),
        )


LEAST_LOST_SECONDS: Final = 20
MOST_LOST_SECONDS: Final = 86_400


class Region(models.Model):
    """A region, with the driver that reaches its servers."""

    id = models.SlugField(primary_key=True, max_length=20)
    name = models.CharField(max_length=60)
    country = models.CharField(max_length=2, blank=True, help_text=gettext_lazy("ISO 3166-1 alpha-2"))
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)
    driver = models.CharField(max_length=10, choices=Driver.choices, default=Driver.LOCAL)
    available = models.BooleanField(default=True)
    unavailable_reason = models.CharField(max_length=300, blank=True)
    # A tiny object on a server of this region. Browsers that choose a region fetch it to measure their round trip.
    probe_url = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        validators=[validate_probe_url],
        help_text=gettext_lazy(
            "The address of a tiny file on a web server in this region, which browsers fetch to measure "
            "the round trip; https, or http on this machine. Hubs offer none, and it needs no CORS header. Empty: "
            "nothing is measured."
        ),
    )

    # Hubs of a lost server are built anew on another one of the region. Then all hubs of the region run on leases.
    rebuild_lost = models.BooleanField(gettext_lazy("rebuild lost hubs"), default=False, db_default=False)
    lost_after = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(LEAST_LOST_SECONDS), MaxValueValidator(MOST_LOST_SECONDS)],
        help_text=gettext_lazy("seconds without an answer; empty: SERVER_LOST_SECONDS"),
    )

    objects = RegionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def all_servers() -> models.QuerySet[Server]:
        """The servers of all regions."""
        from vpn.models.server import Server  # its rows point to regions

        return Server.objects.all()

    @staticmethod
    def ready_servers() -> models.QuerySet[Server]:
        """The servers that may take instances, in all regions."""
        return Region.all_servers().filter(state=ServerState.READY, cordoned=False)

    def clean(self) -> None:
        """Raise ValidationError for a malformed country or place, or if hubs without another server are rebuilt."""
        faults = _faults_of_point(self.latitude, self.longitude)
        if self.country and not re.fullmatch(r"[A-Z]{2}", self.country):
            faults["country"] = _("Enter the two capital letters of ISO 3166-1, such as DE.")
        if self.rebuild_lost and self.driver == Driver.LOCAL:
            faults["rebuild_lost"] = _("The region of this machine has no other server.")
        if faults:
            raise ValidationError(faults)

    @property
    def lost_seconds(self) -> int:
        """The silence after which a server of this region is lost, in seconds; its hubs' leases are as long."""
        return self.lost_after or settings.SERVER_LOST_SECONDS

    @property
    def why_closed(self) -> str:
        """Why no new instance can be placed here, in a sentence; "" if one can. No query after `with_room`."""
        if not self.available:
            return self.unavailable_reason or _("%(region)s takes no instances at the moment.") % {"region": self.name}
        if self.driver == Driver.LOCAL:  # Without its server yet, hubs wait for it.
            return (
                _("The server of %(region)s takes no new instances at the moment.") % {"region": self.name}
                if self._is_cordoned()
                else ""
            )
        if self.driver == Driver.CLOUD:  # It orders a server if none has room.
            has_account = vars(self)["has_account"] if "has_account" in vars(self) else hasattr(self, "cloud")
            return (
                ""
                if has_account
                else _("%(region)s has no cloud account. Ask the operator to add one.") % {"region": self.name}
            )
        has_ready, has_room = self._room()
        if not has_ready:
            return _("%(region)s has no server that is ready. Choose another region, or ask the operator.") % {
                "region": self.name
            }
        if not has_room:
            return _("Every server of %(region)s is full. Choose another region, or ask the operator.") % {
                "region": self.name
            }
        return ""

    def _is_cordoned(self) -> bool:
        """Does it have servers, all of them cordoned?"""
        if "has_cordoned" in vars(self):
            return vars(self)["has_cordoned"] and not vars(self)["has_uncordoned"]
        return set(self.servers.values_list("cordoned", flat=True)) == {True}

    def _room(self) -> tuple[bool, bool]:
        """Is a server ready, and has one of those room?"""
        if "has_room" in vars(self):
            return vars(self)["has_ready"], vars(self)["has_room"]
        ready = Region.ready_servers().filter(region=self)
        has_room = _with_room(ready).exists()
        return has_room or ready.exists(), has_room


def _faults_of_point(latitude: float | None, longitude: float | None) -> dict[str, str]:
    """The faults of coordinates by field: both are in range, or neither is given."""
    faults: dict[str, str] = {}
    for field, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if value is not None and not (math.isfinite(value) and abs(value) <= limit):
            faults[field] = _("Enter degrees from -%(least)s to %(most)s.") % {"least": limit, "most": limit}
    if not faults and (latitude is None) != (longitude is None):
        faults["latitude" if latitude is None else "longitude"] = _("Enter both latitude and longitude, or neither.")
    return faults


def _with_room(servers: models.QuerySet[Server]) -> models.QuerySet[Server]:
    """The servers that carry fewer instances than their capacity."""
    return servers.annotate(carried=Count("instances")).filter(Q(capacity=None) | Q(carried__lt=F("capacity")))
