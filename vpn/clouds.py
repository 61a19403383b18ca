"""What the settings of a cloud account mean at each provider that the portal describes. Pure: pages translate it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from django.utils.translation import gettext_noop as _


@dataclass(frozen=True)
class Described:
    """A provider; each text says what a setting is there, "" if it is not used. `opens_ports`: in its firewall."""

    label: str
    key: str
    secret: str
    location: str
    size: str
    image: str
    network: str = ""
    endpoint: str = ""
    opens_ports: bool = False


# By libcloud's name of the provider; Hetzner has a driver of the portal's own.
# libcloud's other providers work too if their servers take user data.
PROVIDERS: Final[dict[str, Described]] = {
    "ec2": Described(
        "Amazon EC2",
        key=_("access key ID"),
        secret=_("secret access key"),
        location=_("region, such as eu-central-1"),
        size=_("instance type, such as t3.small"),
        image=_("AMI of that region, such as ami-0123456789abcdef0"),
        network=_("subnet, such as subnet-0123456789abcdef0; empty: the default one"),
        endpoint=_("only for an API that is compatible with EC2"),
        opens_ports=True,
    ),
    "digitalocean": Described(
        "DigitalOcean",
        key="",
        secret=_("API token"),
        location=_("region, such as fra1"),
        size=_("slug, such as s-1vcpu-1gb"),
        image=_("slug, such as debian-12-x64"),
    ),
    "hetzner": Described(
        "Hetzner Cloud",
        key="",
        secret=_("API token of the project with the right to write"),
        location=_("location, such as nbg1"),
        size=_("server type, such as cx23"),
        image=_("name or number, such as debian-12"),
        opens_ports=True,
    ),
    "vultr": Described(
        "Vultr",
        key="",
        secret=_("API key"),
        location=_("region, such as fra"),
        size=_("plan, such as vc2-1c-1gb"),
        image=_("number of the operating system, such as 2136 for Debian 12"),
    ),
    "linode": Described(
        "Linode (Akamai)",
        key="",
        secret=_("personal access token"),
        location=_("region, such as eu-central"),
        size=_("type, such as g6-nanode-1"),
        image=_("such as linode/debian12; the region must offer its Metadata service"),
    ),
    "openstack": Described(
        "OpenStack",
        key=_("user"),
        secret=_("password"),
        location=_("region; empty: RegionOne"),
        size=_("ID of the flavor"),
        image=_("ID of the image"),
        network=_("ID of a network whose addresses are public"),
        endpoint=_("URL of Keystone without its version, such as https://cloud.example.net:5000"),
        opens_ports=True,
    ),
}


@cache
def known_providers() -> tuple[str, ...]:
    """The names of all providers that apache-libcloud knows, without its one for tests, and of the portal's own."""
    from libcloud.compute.providers import DRIVERS

    return tuple(sorted((set(map(str, DRIVERS)) - {"dummy"}) | PROVIDERS.keys()))


def opens_ports(provider: str) -> bool:
    """Does the portal open the ports of hubs in the firewall of this provider?"""
    found = PROVIDERS.get(provider)
    return found is not None and found.opens_ports
