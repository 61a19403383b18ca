"""`manage.py region add|set|test|list`: regions, whose servers staff add, or the portal orders from a cloud."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from portal.audit.log import command_principal, note_command
from portal.exceptions import Conflict, InvalidInput
from vpn.actions.servers.account import set_account
from vpn.actions.servers.region import add_region, change_region, set_loss_policy
from vpn.choices import Driver
from vpn.jobs.clouds import test_cloud
from vpn.jobs.fetched import NotFetched, fetched_ms
from vpn.models import CloudAccount, Region
from vpn.presenters.servers import test_sentence

_CLOUD: Final = {
    "provider": "ec2, hetzner, digitalocean, vultr, linode, openstack, or another provider's name in apache-libcloud",
    "key": "the access key or user, where the provider has one",
    "location": "the provider's region",
    "size": "the size of its servers",
    "image": "their image: Debian 12 or 13, Ubuntu 22.04 or 24.04",
    "network": "their network, if it is not the default one",
    "endpoint": "the URL of the provider's API, if it is not the usual one",
    "project": "the project (OpenStack)",
    "domain": "the domain of the user (OpenStack)",
}
_ABOUT: Final = ("name", "country", "latitude", "longitude", "probe_url")
_PROBE_URL: Final = "the https address of a tiny file there, for browsers that measure the round trip (docs/regions.md)"


class Command(BaseCommand):
    """Adds, changes, tests and lists regions."""

    help = (
        "Add a region for hubs, change what happens to hubs of its lost servers, test its cloud account, or list them."
    )

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
        add.add_argument("--probe-url", default="", help=_PROBE_URL)
        change = acts.add_parser("set", help="change a region, or what happens when one of its servers is lost")
        change.add_argument("code", help="the region's code")
        change.add_argument("--name", help="the name that pages show")
        change.add_argument("--country", help='ISO 3166-1 alpha-2, such as DE; "" for none')
        for degrees in ("latitude", "longitude"):
            change.add_argument(f"--{degrees}", type=_degrees, help='degrees; "" for none')
        change.add_argument("--probe-url", help=f'{_PROBE_URL}; "" for none')
        change.add_argument("--rebuild-lost", choices=["yes", "no"], help="build hubs of lost servers anew on others")
        change.add_argument("--lost-after", type=int, metavar="SECONDS", help="0: SERVER_LOST_SECONDS")
        cloud = add.add_argument_group("with --driver cloud")
        for name, words in _CLOUD.items():
            cloud.add_argument(f"--{name}", default="", help=words)
        cloud.add_argument(
            "--secret-file", default="", help="a file with the secret key, token or password; - for stdin"
        )
        cloud.add_argument("--capacity", type=int, default=20, help="the most instances of each server (%(default)s)")
        cloud.add_argument("--ssh-from", action="append", default=[], help="a network that may use SSH (everyone)")
        test = acts.add_parser("test", help="test a region's cloud account, and the file that browsers measure")
        test.add_argument("code", help="the region's code")
        acts.add_parser("list", help="list the regions")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        """Add, test or list."""
        if act == "list":
            for region in Region.objects.with_room():
                state = region.why_closed or "takes instances"
                self.stdout.write(f"{region.pk}\t{region.name}\t{region.driver}\t{state}")
        elif act == "set":
            self._set(**options)
        elif act == "test":
            self._test(options["code"])
        else:
            self._add(**options)

    def _add(self, **options: Any) -> None:
        given = {name: options[name] for name in ("country", "latitude", "longitude", "driver", "probe_url")}
        try:
            with transaction.atomic():
                region = add_region(options["code"], options["name"], by=command_principal(), **given)
                if options["provider"]:
                    _set_account(region, options)
        except (InvalidInput, Conflict) as refusal:
            raise CommandError(str(refusal)) from None
        note_command("region_added", region=region.pk)
        steps: dict[str, str] = {
            Driver.LOCAL: "make up adds this machine",
            Driver.SSH: f"manage.py server add {region.pk} NAME adds a server",
            Driver.CLOUD: "Django admin adds its cloud account",
        }
        step = f"manage.py region test {region.pk} tests the credentials" if options["provider"] else ""
        self.stdout.write(f"The region {region.pk} was added. Next, {step or steps[region.driver]}.")

    def _set(self, code: str, rebuild_lost: str | None, lost_after: int | None, **options: Any) -> None:
        region = _region(code)
        changes = {name: options[name] for name in _ABOUT if options[name] is not None}
        for degrees in {"latitude", "longitude"} & changes.keys():
            changes[degrees] = None if changes[degrees] == "" else changes[degrees]
        has_policy = rebuild_lost is not None or lost_after is not None
        if not changes and not has_policy:
            raise CommandError("Say what to change, such as --name, --country, --latitude and --longitude.")
        rebuild = region.rebuild_lost if rebuild_lost is None else rebuild_lost == "yes"
        after = region.lost_after if lost_after is None else lost_after or None
        try:
            with transaction.atomic():
                if changes:
                    change_region(region, by=command_principal(), **changes)
                if has_policy:
                    set_loss_policy(region, rebuild_lost=rebuild, lost_after=after, by=command_principal())
        except InvalidInput as refusal:
            raise CommandError(str(refusal)) from None
        note_command("region_set", region=region.pk)

    def _test(self, code: str) -> None:
        region = _region(code)
        account = CloudAccount.objects.filter(region=region).first()
        if region.probe_url:
            try:
                self.stdout.write(f"{region.probe_url} answers this machine in {fetched_ms(region.probe_url):.0f} ms.")
            except NotFetched as fault:
                raise CommandError(f"{region.probe_url} {fault}") from None
        elif account is None:
            raise CommandError(f"The region {code} has neither a cloud account nor a probe URL.")
        if account is not None:
            self._test_account(account)

    def _test_account(self, account: CloudAccount) -> None:
        test_cloud(str(account.pk))
        account.refresh_from_db()
        if account.test_finding is not None:
            raise CommandError(test_sentence(account))
        self.stdout.write(test_sentence(account))


def _degrees(text: str) -> float | str:
    """Degrees, or an empty text for none."""
    return float(text) if text.strip() else ""


def _region(code: str) -> Region:
    region = Region.objects.filter(pk=code).first()
    if region is None:
        raise CommandError(f"There is no region {code}. manage.py region list names them.")
    return region


def _set_account(region: Region, options: dict[str, Any]) -> None:
    file = options["secret_file"]
    try:
        secret = sys.stdin.read() if file == "-" else Path(file).read_text() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {type(error).__name__}.") from None
    settings = {name: options[name] for name in (*_CLOUD, "capacity", "ssh_from")}
    set_account(region, by=command_principal(), secret=secret, **settings)
