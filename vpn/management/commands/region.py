"""`manage.py region add|set|list`: regions, whose servers `manage.py server` adds."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.audit.log import command_principal, note_command
from portal.exceptions import Conflict, InvalidInput
from vpn.actions.servers.region import add_region, set_loss_policy
from vpn.choices import Driver
from vpn.models import Region


class Command(BaseCommand):
    """Adds, changes and lists regions."""

    help = "Add a region for hubs, change what happens to hubs of its lost servers, or list the regions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the subcommands."""
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="add a region")
        add.add_argument("code", help="a short code, such as fra")
        add.add_argument("name", help="the name that pages show, such as Frankfurt")
        add.add_argument("--country", default="", help="ISO 3166-1 alpha-2, such as DE")
        add.add_argument("--latitude", type=float, default=None, help="degrees, such as 50.1")
        add.add_argument("--longitude", type=float, default=None, help="degrees, such as 8.7")
        add.add_argument("--driver", choices=Driver.values, default=Driver.SSH, help="default: %(default)s")
        add.add_argument("--probe-url", default="", help="a tiny file there, for browsers that measure the round trip")
        change = acts.add_parser("set", help="choose what happens when a server of the region is lost")
        change.add_argument("code", help="the region's code")
        change.add_argument("--rebuild-lost", choices=["yes", "no"], help="build hubs of lost servers anew on others")
        change.add_argument("--lost-after", type=int, metavar="SECONDS", help="0: SERVER_LOST_SECONDS")
        acts.add_parser("list", help="list the regions")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        """Add or list."""
        if act == "list":
            for region in Region.objects.with_room():
                state = region.why_closed or "takes instances"
                self.stdout.write(f"{region.pk}\t{region.name}\t{region.driver}\t{state}")
            return
        if act == "set":
            self._set(**options)
            return
        given = {name: options[name] for name in ("country", "latitude", "longitude", "driver", "probe_url")}
        try:
            region = add_region(options["code"], options["name"], by=command_principal(), **given)
        except (InvalidInput, Conflict) as refusal:
            raise CommandError(str(refusal)) from None
        note_command("region_added", region=region.pk)
        is_here = region.driver == Driver.LOCAL
        step = "make up adds this machine" if is_here else f"manage.py server add {region.pk} NAME adds a server"
        self.stdout.write(f"The region {region.pk} was added. Next, {step}.")

    def _set(self, code: str, rebuild_lost: str | None, lost_after: int | None, **options: Any) -> None:
        region = Region.objects.filter(pk=code).first()
        if region is None:
            raise CommandError(f"There is no region {code}. manage.py region list names them.")
        rebuild = region.rebuild_lost if rebuild_lost is None else rebuild_lost == "yes"
        after = region.lost_after if lost_after is None else lost_after or None
        try:
            set_loss_policy(region, rebuild_lost=rebuild, lost_after=after, by=command_principal())
        except InvalidInput as refusal:
            raise CommandError(str(refusal)) from None
        note_command("region_set", region=region.pk)
