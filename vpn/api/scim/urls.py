"""The addresses of SCIM, below /scim/v2/. The token says which organization it is."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path

from vpn.api.scim import discovery, groups, users
from vpn.api.scim.endpoint import endpoint

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def nothing_here(_request: HttpRequest, **_kwargs: str) -> HttpResponse:
    """The answer for every other path, also for a resource whose id is none."""
    raise Http404


_USER = {
    "GET": users.read_user,
    "PUT": users.replace_user,
    "PATCH": users.patch_user,
    "DELETE": users.delete_user,
}
_GROUP = {
    "GET": groups.read_group,
    "PUT": groups.replace_group,
    "PATCH": groups.patch_group,
    "DELETE": groups.remove_group,
}

urlpatterns = [
    path("ServiceProviderConfig", endpoint({"GET": discovery.read_configuration}), name="scim_configuration"),
    path("ResourceTypes", endpoint({"GET": discovery.read_types}), name="scim_types"),
    path("ResourceTypes/<str:name>", endpoint({"GET": discovery.read_types}), name="scim_type"),
    path("Schemas", endpoint({"GET": discovery.read_schemas}), name="scim_schemas"),
    path("Schemas/<str:name>", endpoint({"GET": discovery.read_schemas}), name="scim_schema"),
    path("Users", endpoint({"GET": users.read_users, "POST": users.create_user}), name="scim_users"),
    path("Users/<uuid:pk>", endpoint(_USER), name="scim_user"),
    path("Groups", endpoint({"GET": groups.read_groups, "POST": groups.make_group}), name="scim_groups"),
    path("Groups/<uuid:pk>", endpoint(_GROUP), name="scim_group"),
    path("Me", endpoint(dict.fromkeys(_METHODS, discovery.not_supported)), name="scim_me"),
    path("Bulk", endpoint({"POST": discovery.not_supported}), name="scim_bulk"),
    re_path(r"(?:.*/)?\.search$", endpoint({"POST": discovery.not_supported}), name="scim_search"),
    re_path("", endpoint(dict.fromkeys(_METHODS, nothing_here)), name="scim_nothing_here"),
]
