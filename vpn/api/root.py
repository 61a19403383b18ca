"""The API as a whole: base path, tokens, documentation, errors."""

from __future__ import annotations

from ninja import NinjaAPI, Swagger

from portal.access import checks_itself
from vpn.api.protocol import errors
from vpn.api.protocol.auth import ApiTokenAuth
from vpn.api.protocol.documentation import DESCRIPTION
from vpn.api.resources import (
    client,
    connections,
    events,
    groups,
    instances,
    moves,
    peers,
    places,
    receipts,
    revisions,
    routers,
    servers,
    share_links,
    sites,
    tokens,
    users,
)

api = NinjaAPI(
    title="VPN portal",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    auth=ApiTokenAuth(),
    # Swagger's own files come with ninja. Its validator is off, since it runs on another host.
    docs=Swagger(settings={"validatorUrl": None, "displayRequestDuration": True}),
    docs_decorator=checks_itself,
)
errors.register(api)
for module in (
    servers,
    instances,
    moves,
    revisions,
    peers,
    share_links,
    sites,
    places,
    users,
    groups,
    tokens,
    events,
    receipts,
    connections,
    client,
    routers,
):
    api.add_router("/vpn", module.router)
