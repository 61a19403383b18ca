"""How each provider's driver is made, and how it takes an order: libcloud's, or the portal's own for Hetzner.

Every provider of libcloud works whose `create_node` takes user data under one of the usual names. Those that differ
have a function of their own.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from vpn import failures
from vpn.drivers.cloud.base import CloudError, CloudLogin, Order

# A look at a cloud makes a few calls, and a job may last 30 seconds.
_TIMEOUT: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}
# The names under which drivers take user data.
_USER_DATA: Final = ("ex_userdata", "ex_user_data", "cloud_init")


def driver_of(login: CloudLogin) -> Any:
    """Return the driver, with the credentials. No call is made, except at OpenStack. Raises CloudError."""
    try:
        cls = _class_of(login.provider)
    except (AttributeError, ImportError) as error:
        raise CloudError(failures.CLOUD_UNKNOWN.of(login.provider), str(error)) from error
    arguments, options = _LOGINS.get(login.provider, _usual_login)(login)
    try:
        made: Any = cls(*arguments, **options)
    except (TypeError, ValueError) as error:
        code = failures.CLOUD_LOCATION if "region" in str(error).lower() else failures.CLOUD_SETTINGS
        subject = login.location if code is failures.CLOUD_LOCATION else login.provider
        raise CloudError(code.of(subject), str(error)) from error
    # Not every driver takes it as an argument. Connecting again only stores it.
    made.connection.timeout = _TIMEOUT
    made.connection.connect()
    return made


def _class_of(provider: str) -> Any:
    if provider == "hetzner":
        from vpn.drivers.cloud.hetzner import HetznerNodeDriver

        return HetznerNodeDriver
    from libcloud.compute.providers import get_driver

    return get_driver(provider)


def creation_of(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    """Return the arguments of `create_node`; `group` is the firewall that was made for the node, or None.

    Raises CloudError if the provider takes no user data.
    """
    from libcloud.compute.base import NodeImage, NodeLocation, NodeSize

    arguments: dict[str, Any] = {
        "name": order.tag.name,
        "size": NodeSize(order.size, order.size, 0, 0, None, 0.0, driver),
        "image": NodeImage(order.image, order.image, driver),
    }
    taken = set(inspect.signature(driver.create_node).parameters)
    if "location" in taken and login.location and login.provider not in _LOCATED:
        arguments["location"] = NodeLocation(login.location, login.location, "", driver)
    under = next((name for name in _USER_DATA if name in taken), None)
    if under is None:
        raise CloudError(failures.CLOUD_NO_USER_DATA.of(login.provider))
    arguments[under] = order.user_data
    return arguments | _OPTIONS.get(login.provider, _no_options)(driver, login, order, group)


def _place(endpoint: str) -> dict[str, Any]:
    """Another host than the provider's own, from its URL."""
    if not endpoint:
        return {}
    parts = urlsplit(endpoint)
    return {
        "host": parts.hostname,
        "port": parts.port or _PORTS[parts.scheme],
        "secure": parts.scheme == "https",
    }


def _usual_login(login: CloudLogin) -> tuple[list[str], dict[str, Any]]:
    """Key and secret; a provider with a single token has no key."""
    arguments = [login.key, login.secret] if login.key else [login.secret]
    region = {"region": login.location} if login.provider in _LOCATED else {}
    return arguments, _place(login.endpoint) | region


def _openstack_login(login: CloudLogin) -> tuple[list[str], dict[str, Any]]:
    options = {
        "api_version": "2.2",
        "ex_force_auth_url": login.endpoint,
        "ex_force_auth_version": "3.x_password",
        "ex_tenant_name": login.project,
        "ex_domain_name": login.domain or "Default",
        "ex_force_service_region": login.location or None,
    }
    return [login.key, login.secret], options


def _versioned(version: str) -> Callable[[CloudLogin], tuple[list[str], dict[str, Any]]]:
    """A token, and the version of the provider's interface."""

    def login_of(login: CloudLogin) -> tuple[list[str], dict[str, Any]]:
        return [login.secret], {"api_version": version, **_place(login.endpoint)}

    return login_of


def _ec2_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    # With the same token a second call yields the same node, even if it is not listed yet.
    options = {"ex_metadata": order.tag.labels, "ex_clienttoken": f"{order.tag.request.hex}-{order.attempt}"}
    if not login.network:
        return {**options, "ex_security_groups": [group.name]}
    subnet = driver.ex_list_subnets(subnet_ids=[login.network])[0]
    return {**options, "ex_subnet": subnet, "ex_security_group_ids": [group.id], "ex_assign_public_ip": True}


def _openstack_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    from libcloud.compute.drivers.openstack import OpenStackNetwork

    options = {"ex_metadata": order.tag.labels, "ex_config_drive": True, "ex_security_groups": [group]}
    if login.network:
        options["networks"] = [OpenStackNetwork(login.network, login.network, None, driver)]  # type: ignore[no-untyped-call]
    return options


def _hetzner_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    return {"ex_labels": order.tag.labels, "ex_firewall": group["id"]}


def _digitalocean_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    return {"ex_create_attr": {"tags": _plain_tags(order), "ipv6": True}}


def _linode_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    # Required. The account root is locked for passwords over SSH, so it is of no use and not kept.
    return {"ex_tags": _plain_tags(order), "root_pass": secrets.token_urlsafe(48)}


def _vultr_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    return {"ex_tag": _plain_tags(order)[0], "ex_hostname": order.tag.name, "ex_enable_ipv6": True}


def _no_options(driver: Any, login: CloudLogin, order: Order, group: Any) -> dict[str, Any]:
    return {}


def _plain_tags(order: Order) -> list[str]:
    """The tags for providers whose tags are single words."""
    return [f"{name}:{value}" for name, value in order.tag.labels.items()]


# These are asked in one region, which their driver is made for.
_LOCATED: Final = frozenset({"ec2", "openstack"})
_LOGINS: Final[dict[str, Callable[[CloudLogin], tuple[list[str], dict[str, Any]]]]] = {
    "digitalocean": _versioned("v2"),
    "linode": _versioned("4.0"),
    "openstack": _openstack_login,
    "vultr": _versioned("2"),
}
_OPTIONS: Final[dict[str, Callable[[Any, CloudLogin, Order, Any], dict[str, Any]]]] = {
    "digitalocean": _digitalocean_options,
    "ec2": _ec2_options,
    "hetzner": _hetzner_options,
    "linode": _linode_options,
    "openstack": _openstack_options,
    "vultr": _vultr_options,
}
