"""`manage.py server ACT`: servers that are reached over SSH."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count

from portal.audit.log import command_principal, note_command
from portal.exceptions import Conflict, InvalidInput
from vpn.actions.servers.compromise import refuse_uncompromisable, report_compromised
from vpn.actions.servers.drain import drain_server
from vpn.actions.servers.preparation import begin_preparation
from vpn.actions.servers.server import add_server, confirm_host_key, cordon_server, forget_server
from vpn.choices import OperationKind, OperationState, StepState
from vpn.jobs.preparation import continue_preparation, look_at_host_key
from vpn.models import PreparationStep, Region, Server, SshAccess
from vpn.presenters.compromise import hub_lines, plan_lines
from vpn.presenters.findings import step_message
from vpn.presenters.servers import step_sentence, why

# Far longer than moves take, unless no worker runs.
_DRAINED_WITHIN = 600.0  # seconds
_LOOKS_EVERY = 0.5
_ACTS = {
    "confirm": "trust the host key that was seen",
    "prepare": "prepare the server, or repair it",
    "cordon": "let it take no new hubs",
    "uncordon": "let it take new hubs again",
    "drain": "move all its hubs to other servers of its region",
    "compromised": "trust it no more: its hubs get new keys and other servers",
    "forget": "delete it from the portal",
}


class Command(BaseCommand):
    """Adds servers and acts on them."""

    help = "Add a server that is reached over SSH, prepare it, and list the servers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Define the subcommands."""
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="add a server to a region, with a new key pair")
        add.add_argument("region", help="the region's code")
        add.add_argument("name", help="a name for the server")
        add.add_argument("--ssh", required=True, metavar="USER@HOST[:PORT]", help="how the portal reaches it")
        add.add_argument("--address", required=True, help="the public address of its hubs")
        add.add_argument("--address-v6", default="", help="their public IPv6 address, where --address is IPv4")
        add.add_argument("--capacity", type=int, default=None, help="the most instances (default: as many as ports)")
        for act, words in _ACTS.items():
            one = acts.add_parser(act, help=words)
            one.add_argument("name", help="the server's name")
            if act == "confirm":
                one.add_argument("--host-key", required=True, metavar="SHA256:…", help="the fingerprint you compared")
            if act == "compromised":
                one.add_argument("--plan", action="store_true", help="only say what that means")
                one.add_argument("--without-former", action="store_true", help="leave out hubs that were on it before")
        listing = acts.add_parser("list", help="list the servers")
        listing.add_argument("--json", action="store_true", help="as a JSON array")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        """Act."""
        acts: dict[str, Callable[..., None]] = {
            "add": self._add,
            "confirm": self._confirm,
            "prepare": self._prepare,
            "cordon": lambda **given: cordon_server(_named(given["name"]), by=command_principal()),
            "uncordon": lambda **given: cordon_server(_named(given["name"]), by=command_principal(), cordoned=False),
            "drain": self._drain,
            "compromised": self._compromised,
            "forget": lambda **given: forget_server(_named(given["name"]), by=command_principal()),
            "list": self._list,
        }
        try:
            acts[act](**options)
        except (InvalidInput, Conflict) as refusal:
            raise CommandError(str(refusal)) from None
        if act != "list" and not options.get("plan"):
            note_command(f"server_{act}", server=options["name"])

    def _add(self, **given: Any) -> None:
        region = Region.objects.filter(pk=given["region"]).first()
        if region is None:
            raise CommandError(f"There is no region {given['region']}. manage.py region list names them.")
        fields = {name: given[name] for name in ("ssh", "address", "address_v6", "capacity")}
        server = add_server(region, given["name"], by=command_principal(), **fields)
        look_at_host_key(str(server.pk))
        server.ssh.refresh_from_db()
        printed = {
            "id": str(server.pk),
            "authorized_key": server.ssh.authorized_key,
            "host_key": server.ssh.seen_fingerprint or None,
        }
        rule = {"sudo_rule": server.ssh.sudo_rule} if server.ssh.sudo_rule else {}
        self.stdout.write(json.dumps({**printed, **rule}))

    def _confirm(self, **given: Any) -> None:
        server = _named(given["name"])
        # It may have answered only after it was added, or have been installed anew.
        look_at_host_key(str(server.pk))
        confirm_host_key(server, given["host_key"], by=command_principal())

    def _prepare(self, **given: Any) -> None:
        server = _named(given["name"])
        begin_preparation(server, by=command_principal(), ring=False)
        shown: set[str] = set()
        goes_on = True
        while goes_on:
            goes_on = continue_preparation(server.pk)
            for step in PreparationStep.objects.filter(server=server).exclude(name__in=shown):
                if step.state == StepState.FAILED:
                    raise CommandError(f"{step.get_name_display()}: {step_sentence(step)}")
                if step.state == StepState.SUCCEEDED:
                    shown.add(step.name)
                    self.stdout.write(f"{step.get_name_display()}: {step_sentence(step)}")
        server.refresh_from_db()
        if server.state != "ready":
            raise CommandError(why(server) or "Another preparation of this server has begun.")

    def _drain(self, **given: Any) -> None:
        """Begin to move the hubs, and wait until each has moved or failed; workers do it, so a running portal."""
        server = _named(given["name"])
        drained = drain_server(server, by=command_principal())
        faults = [f"{name} stays: {why}" for name, why in drained.staying.values()]
        ends = time.monotonic() + _DRAINED_WITHIN
        left = list(drained.moving)
        while left and time.monotonic() < ends:
            for instance in list(left):
                last = instance.operations.filter(kind=OperationKind.REBUILD).first()
                if last is None or not last.is_finished:
                    continue
                left.remove(instance)
                failed = last.steps.filter(state=StepState.FAILED).first()
                if last.state == OperationState.SUCCEEDED:
                    instance.refresh_from_db()
                    self.stdout.write(f"{instance} runs on {instance.server}")
                else:
                    faults.append(f"{instance} stays: {step_message(last, failed) if failed is not None else ''}")
            time.sleep(_LOOKS_EVERY)
        faults += [f"{instance} is still moving: its progress page says more" for instance in left]
        if faults:
            cordoned = f"{server.name} takes no new hubs until manage.py server uncordon."
            raise CommandError("\n".join([*faults, cordoned]))

    def _compromised(self, **given: Any) -> None:
        """Say what it means, and begin; workers go on, so a running portal."""
        server = _named(given["name"])
        refuse_uncompromisable(server)
        for line in plan_lines(server):
            self.stdout.write(line)
        for hub in hub_lines(server):
            where = f"{hub.instance.organization.name} / {hub.instance.name}"
            self.stdout.write(f"{where}: {hub.clients} devices, {hub.sites} sites. {hub.state}".rstrip(". "))
        if not given["plan"]:
            with_former = not given["without_former"]
            report_compromised(server, given["name"], with_former=with_former, by=command_principal())
            self.stdout.write(
                f"Begun. {settings.PUBLIC_URL}/admin/vpn/server/{server.pk}/compromised/ shows how far it is."
            )

    def _list(self, **given: Any) -> None:
        servers = Server.objects.select_related("ssh").annotate(carried=Count("instances")).order_by("region", "name")
        rows = [_row(server) for server in servers]
        if given["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            self.stdout.write("\t".join("" if value is None else str(value) for value in row.values()))


def _row(server: Any) -> dict[str, object]:
    return {
        "name": server.name,
        "region": server.region_id,
        "state": server.shown_state,
        "address": server.address or server.address_v6,
        "agent": _agent_of(server) or None,
        "capacity": server.capacity,
        "instances": server.carried,
    }


def _agent_of(server: Server) -> str:
    """The version that reported last, or that was installed if none has reported yet."""
    access: SshAccess | None = getattr(server, "ssh", None)
    return server.agent_version or (access.agent if access is not None else "")


def _named(name: str) -> Server:
    found = Server.objects.select_related("region").filter(name=name)
    if len(found) != 1:
        raise CommandError(f"There is no server {name}. manage.py server list names them.")
    return found[0]
