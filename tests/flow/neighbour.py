"""A large hub on a running portal, which is changed once a second: `main`, in a process of its own.

Needs the portal's environment. It makes another organization with a hub, or takes the hub whose hostname it is given,
fills it with peers, prints "ready", and changes it until its standard input ends. Then it deletes the hub where it made
it, and prints how many changes it made.
"""

from __future__ import annotations

import itertools
import json
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

from portal.models import Membership
from tests.factories import BY, an_admin
from tests.flow.beside import add_organization, delete_instances
from tests.lab.waiting import wait_until
from tests.running_portal import ROOT, RunningPortal
from vpn import keys
from vpn.actions.change import Scope, changing
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.settings import update_instance
from vpn.choices import KeyCustody, PeerType
from vpn.models import Instance, Peer, Region

_PROGRAM = (
    "import sys, django; django.setup(); from tests.flow.neighbour import main; main(int(sys.argv[1]), *sys.argv[2:])"
)
_EVERY = 1.0


@contextmanager
def busy_hub(portal: RunningPortal, peers: int, *hostname: str) -> Iterator[None]:
    """Inside the block a hub with that many peers is changed once a second: another organization's, or a given one."""
    argv = [sys.executable, "-c", _PROGRAM, str(peers), *hostname]
    environment = portal.environment | {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    with Popen(argv, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", portal.logs()[-4000:]
            yield
            process.stdin.close()
            print(f"the large hub: {process.stdout.readline().strip()}")
        finally:
            process.kill()


def main(peers: int, hostname: str = "") -> None:
    """Make the hub, and change it."""
    instance = Instance.objects.get(hostname=hostname) if hostname else _make_hub()
    _fill(instance, peers)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    seconds = _change(instance)
    if not hostname:
        delete_instances(instance.organization)
    found = {"peers": peers, "changes": len(seconds), "slowest": round(max(seconds), 3)}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _change(instance: Instance) -> list[float]:
    """Change the hub until standard input ends; the seconds of each change."""
    seconds = []
    for change in itertools.cycle(_changes(instance)):
        started = time.monotonic()
        change()
        seconds.append(time.monotonic() - started)
        if select.select([sys.stdin], [], [], max(0.0, _EVERY - seconds[-1]))[0]:
            break
    return seconds


def _make_hub() -> Instance:
    admin = an_admin(add_organization("Neighbour"))
    instance = create_instance(
        admin.organization,
        name="Large hub",
        hostname="neighbour",
        region=Region.objects.get(pk="local"),
        pool_prefix=16,
        by=BY,
    )
    _await_settled(instance)
    return instance


def _fill(instance: Instance, peers: int) -> None:
    taken = set(instance.peers.values_list("host", flat=True))
    free = (host for host in itertools.count(100) if host not in taken)
    admin = an_admin(instance.organization)
    made = [_device(instance, admin, host) for host in itertools.islice(free, peers)]
    with changing(instance.pk, by=BY, scope=Scope.WHOLE) as locked:
        for peer in made:
            peer.changed_generation = locked.desired_generation
        Peer.objects.bulk_create(made, batch_size=500)
    _await_settled(instance)


def _device(instance: Instance, member: Membership, host: int) -> Peer:
    """A row as `create_client_peer` makes it, which would take a minute for all of them."""
    public_key = keys.public_key(keys.generate_private_key())
    peer = Peer(
        instance=instance,
        type=PeerType.CLIENT,
        member=member,
        device=f"made {host}",
        host=host,
        public_key=public_key,
        key_custody=KeyCustody.DEVICE,
    )
    peer.preshared_key = keys.generate_preshared_key()
    return peer


def _await_settled(instance: Instance) -> None:
    wait_until(lambda: Instance.objects.get(pk=instance.pk).server_ready, 120, "the neighbour's hub")


def _changes(instance: Instance) -> list[Callable[[], object]]:
    """Changes that the hub compares all of itself with, and one of the rules, which goes first as a revocation does."""
    rule = {"name": "web", "action": "drop", "protocol": "tcp", "port": "80", "source": "any", "destination": "any"}
    return [
        lambda: update_instance(instance, mtu=1300, by=BY),
        lambda: update_instance(instance, firewall=[rule], by=BY),
        lambda: update_instance(instance, mtu=1380, by=BY),
        lambda: update_instance(instance, firewall=[], by=BY),
    ]
