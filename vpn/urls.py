"""The addresses of the vpn app. Names have no namespace, so that the portal app can use them by name alone."""

from __future__ import annotations

from django.urls import include, path

from vpn.views import connections
from vpn.views.activity import operations as instance_activity
from vpn.views.activity import plan_mail, progress
from vpn.views.dns import page as instance_dns
from vpn.views.firewall import page as firewall
from vpn.views.instances import create as instance_new
from vpn.views.instances import delete as instance_delete
from vpn.views.instances import move as instance_move
from vpn.views.instances import overview as instance
from vpn.views.instances import settings as instance_settings
from vpn.views.instances import trial as instance_trial
from vpn.views.peers import acts as peer_acts
from vpn.views.peers import create as peer_new
from vpn.views.peers import edit as peer_edit
from vpn.views.peers import link as peer_link
from vpn.views.peers import link_mail as peer_link_mail
from vpn.views.peers import page as peer
from vpn.views.peers import router as peer_router
from vpn.views.people import invite, receipt
from vpn.views.profiles import importing, my, my_connections, my_device, own_key, which
from vpn.views.profiles import reveal as profile
from vpn.views.profiles import shared as shared_profile
from vpn.views.revisions import page as revisions
from vpn.views.sites import site
from vpn.views.tokens import create as token_new
from vpn.views.tokens import page as tokens

_INSTANCES = [
    path("", instance.instances, name="instances"),
    path("instances/new/", instance_new.instance_new, name="instance_new"),
    path("instances/new/hostname/", instance_new.instance_hostname_check, name="instance_hostname_check"),
    path("instances/<uuid:pk>/", instance.instance, name="instance"),
    path("instances/<uuid:pk>/progress/", progress.instance_progress, name="instance_progress"),
    path("instances/<uuid:pk>/retry/", progress.instance_retry, name="instance_retry"),
    path("instances/<uuid:pk>/routing/", instance_settings.instance_routing, name="instance_routing"),
    path("instances/<uuid:pk>/dns/", instance_dns.instance_dns, name="instance_dns"),
    path("instances/<uuid:pk>/firewall/", firewall.instance_firewall, name="instance_firewall"),
    path("instances/<uuid:pk>/settings/", instance_settings.instance_settings, name="instance_settings"),
    path("instances/<uuid:pk>/trial/", instance_trial.instance_trial, name="instance_trial"),
    path("instances/<uuid:pk>/name/", instance_settings.instance_name_check, name="instance_name_check"),
    path("instances/<uuid:pk>/activity/", instance_activity.instance_activity, name="instance_activity"),
    path("instances/<uuid:pk>/revisions/", revisions.instance_revisions, name="instance_revisions"),
    path("instances/<uuid:pk>/revisions/compare/", revisions.instance_comparison, name="instance_comparison"),
    path("revisions/<uuid:pk>/return/", revisions.revision_return, name="revision_return"),
    path("people/invite/", invite.people_invite, name="people_invite"),
    path("people/receipts/<uuid:pk>/", receipt.receipt, name="receipt"),
    path("plans/<uuid:pk>/mail/", plan_mail.plan_mail, name="plan_mail"),
    path("instances/<uuid:pk>/move/", instance_move.instance_move, name="instance_move"),
    path("instances/<uuid:pk>/rebuild/", instance_move.instance_rebuild, name="instance_rebuild"),
    path("instances/<uuid:pk>/cancel/", instance_move.instance_cancel, name="instance_cancel"),
    path("instances/<uuid:pk>/forwarding/", instance_move.instance_forwarding_end, name="instance_forwarding_end"),
    path("instances/<uuid:pk>/delete/", instance_delete.instance_delete, name="instance_delete"),
]

# Peers, sites, own devices.
_PEERS = [
    path("instances/<uuid:pk>/peers/new-client/", peer_new.client_peer_new, name="client_peer_new"),
    path("instances/<uuid:pk>/peers/new-site/", peer_new.site_peer_new, name="site_peer_new"),
    path("peers/<uuid:pk>/", peer.peer, name="peer"),
    path("peers/<uuid:pk>/profile/", profile.peer_profile, name="peer_profile"),
    path("peers/<uuid:pk>/key/", own_key.peer_key, name="peer_key"),
    path("peers/<uuid:pk>/link/", peer_link.peer_link, name="peer_link"),
    path("peers/<uuid:pk>/link/mail/", peer_link_mail.peer_link_mail, name="peer_link_mail"),
    path("peers/<uuid:pk>/link/end/", peer_link_mail.peer_link_end, name="peer_link_end"),
    path("p/<str:token>/", shared_profile.shared_profile, name="shared_profile"),
    path("i/<str:token>/", importing.import_profile, name="import_profile"),
    path("peers/<uuid:pk>/edit/", peer_edit.peer_edit, name="peer_edit"),
    path("peers/<uuid:pk>/disable/", peer_acts.peer_disable, name="peer_disable"),
    path("peers/<uuid:pk>/enable/", peer_acts.peer_enable, name="peer_enable"),
    path("peers/<uuid:pk>/rotate/", peer_acts.peer_rotate, name="peer_rotate"),
    path("peers/<uuid:pk>/rename/", my_device.peer_rename, name="peer_rename"),
    path("peers/<uuid:pk>/lost/", peer_acts.peer_lost, name="peer_lost"),
    path("peers/<uuid:pk>/enrol/", peer_router.peer_enrol, name="peer_enrol"),
    path("peers/<uuid:pk>/router/subnets/", peer_router.peer_router_subnets, name="peer_router_subnets"),
    path("peers/<uuid:pk>/router/retry/", peer_router.peer_router_retry, name="peer_router_retry"),
    path("peers/<uuid:pk>/router/revoke/", peer_acts.peer_router_revoke, name="peer_router_revoke"),
    path("peers/<uuid:pk>/delete/", peer_acts.peer_delete, name="peer_delete"),
    path("sites/", site.sites, name="sites"),
    path("sites/new/", site.site_new, name="site_new"),
    path("sites/<uuid:pk>/", site.site, name="site"),
    path("sites/<uuid:pk>/delete/", site.site_delete, name="site_delete"),
    path("my/", my.my, name="my"),
    path("my/devices/new/", my_device.my_device_new, name="my_device_new"),
    path("my/connections/", my_connections.my_connections, name="my_connections"),
    path("my/which/", which.which_profile, name="which_profile"),
]

_CONNECTIONS = [
    path("connections/", connections.connections, name="connections"),
    path("connections/export/", connections.connections_export, name="connections_export"),
]

_TOKENS = [
    path("accounts/tokens/", tokens.tokens, name="tokens"),
    path("accounts/tokens/new/", token_new.token_new, name="token_new"),
    path("accounts/tokens/<uuid:pk>/revoke/", tokens.token_revoke, name="token_revoke"),
    path("settings/tokens/", tokens.organization_tokens, name="organization_tokens"),
]

_PROGRAMS = [path("api/", include("vpn.api.urls")), path("scim/v2/", include("vpn.api.scim.urls"))]

urlpatterns = [*_PROGRAMS, *_INSTANCES, *_PEERS, *_CONNECTIONS, *_TOKENS]
