"""What the journal gets by each page and API call that may act: the code of its one line.

A text that begins with "-" is the reason why there is none.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from portal.models import JournalEntry

_SEPARATELY = "- not with what the walk sends: see tests/portal/test_journal.py"
_CONFIRMED = "- asks to confirm first, or needs what the walk has not: see tests/portal/test_factor_journal.py"
_ON_TRIAL = "- no change is on trial there: see tests/vpn/test_trials.py"
_NO_ROUTER = "- the walk's peer is a device: see tests/vpn/views/test_router_page.py"
_NOTHING_CHANGES = "- nothing changes there: see tests/portal/test_journal.py"


class Answer(NamedTuple):
    """An answer, and the lines that it left: their codes, and the ids of who acted."""

    status: int
    lines: list[tuple[str, str]]
    actor: str


def lines_since(since: UUID) -> list[tuple[str, str]]:
    """The lines after an id, without those that are a consequence of another."""
    found = JournalEntry.objects.filter(id__gt=since, cause=None).order_by("id")
    return list(found.values_list("code", "actor_id"))


_BY_SCIM = "- takes a token of its own kind: see tests/vpn/api/scim/test_calls.py"
ACTS_OF_PAGES = {
    ("POST", name): code
    for name, code in {
        "account_login": _SEPARATELY,
        "account_logout": "user.signed_out",
        "account_signup": _SEPARATELY,
        "account_change_password": _SEPARATELY,
        "account_set_password": "- leads to changing a password: see tests/portal/test_passkey_alone.py",
        "account_reset_password": "- nobody knows yet whose password it is",
        "account_reset_password_done": "- reads only",
        "account_reset_password_from_key": _SEPARATELY,
        "account_link_use": _SEPARATELY,
        "mfa_authenticate": _CONFIRMED,
        "account_reauthenticate": _CONFIRMED,
        "mfa_reauthenticate": _CONFIRMED,
        "mfa_reauthenticate_webauthn": _CONFIRMED,
        "mfa_login_webauthn": _CONFIRMED,
        "mfa_add_webauthn": _CONFIRMED,
        "mfa_edit_webauthn": _CONFIRMED,
        "mfa_remove_webauthn": _CONFIRMED,
        "mfa_activate_totp": _CONFIRMED,
        "mfa_deactivate_totp": _CONFIRMED,
        "mfa_generate_recovery_codes": _CONFIRMED,
        "language_choose": "- a choice of the account: see tests/portal/test_language.py",
        "sessions_end": _CONFIRMED,
        "session_end": _CONFIRMED,
        "person_factor": _CONFIRMED,
        "token_new": "- asks to confirm first: see tests/vpn/test_token_pages.py",
        "token_revoke": "apitoken.deleted",
        "api-nothing-here": "- there is nothing",
        "own_means": "- only in the session of a provider: see tests/portal/test_provider_sign_in.py",
        "provider_confirm": "- nobody has come from a provider: see tests/portal/test_provider_sign_in.py",
        "provider_answer": "- signs in nobody, and so has no author: see tests/portal/saml/test_saml_sign_in.py",
        "provider_disconnect": "- nobody is connected: see tests/portal/test_provider_sign_in.py",
        "provider_settings": "signinprovider.changed",
        "provider_switch": "signinprovider.switched_on",
        "provider_delete": "signinprovider.deleted",
        "organization_switch": "- a choice of the session",
        "organization_settings": "organization.renamed",
        "activity_export": "organization.journal_exported",
        "connections_export": "organization.connections_exported",
        "person_new": "member.created",
        "people_invite": "- previews first: see tests/vpn/views/test_invite_many.py",
        "person": "member.changed",
        "person_link": "member.link_handed_over",
        "person_remove": "member.deleted",
        "group_new": "group.created",
        "group": "group.changed",
        "group_delete": "group.deleted",
        "instance_new": "instance.created",
        "instance_retry": "instance.retried",
        "instance_routing": "instance.settings_changed",
        "instance_dns": "instance.settings_changed",
        "instance_firewall": "instance.settings_changed",
        "instance_trial": _ON_TRIAL,
        "instance_name_check": "- looks at the name again",
        "instance_settings": "instance.settings_changed",
        "instance_move": "instance.move_begun",
        "instance_rebuild": "instance.rebuild_begun",
        "instance_cancel": "instance.move_cancelled",
        "instance_forwarding_end": "- nothing forwards there: see tests/vpn/moves/test_moves.py",
        "plan_mail": "changeplan.mail_requested",
        "revision_return": "instance.returned",
        "instance_delete": "instance.deletion_requested",
        "client_peer_new": "peer.created",
        "site_peer_new": "peer.created",
        "peer_profile": "peer.delivered",
        "which_profile": "- reads only",
        "peer_key": "- the walk sends no key: see tests/vpn/views/test_own_key.py",
        "peer_link": "peer.shared",
        "peer_link_mail": "- the walk has no mail server: see tests/vpn/views/test_mailed_links.py",
        "peer_link_end": "peer.share_link_revoked",
        "shared_profile": _SEPARATELY,
        "peer_edit": "peer.changed",
        "peer_disable": "peer.changed",
        "peer_enable": _NOTHING_CHANGES,
        "peer_rotate": "peer.keys_rotated",
        "peer_rename": "peer.changed",
        **dict.fromkeys(("peer_enrol", "peer_router_subnets", "peer_router_retry", "peer_router_revoke"), _NO_ROUTER),
        "peer_lost": "peer.reported_lost",
        "my_device_new": "peer.created",
        "peer_delete": "peer.deleted",
        **dict.fromkeys(
            (
                "scim_configuration",
                "scim_types",
                "scim_type",
                "scim_schemas",
                "scim_schema",
                "scim_users",
                "scim_user",
                "scim_groups",
                "scim_group",
                "scim_me",
                "scim_bulk",
                "scim_search",
                "scim_nothing_here",
            ),
            _BY_SCIM,
        ),
        "site_new": "site.created",
        "site": "site.changed",
        "site_delete": "site.deleted",
    }.items()
}

_PEER = "/instances/{instance_id}/peers/{peer_id}"
ACTS_OF_CALLS = {
    ("POST", "/instances"): "instance.created",
    ("PUT", "/instances/{instance_id}"): "instance.settings_changed",
    ("DELETE", "/instances/{instance_id}"): "instance.deletion_requested",
    ("POST", "/instances/{instance_id}/retry"): "instance.retried",
    ("POST", "/instances/{instance_id}/confirm"): _ON_TRIAL,
    ("POST", "/instances/{instance_id}/return"): _ON_TRIAL,
    ("POST", "/instances/{instance_id}/move"): "instance.move_begun",
    ("POST", "/instances/{instance_id}/rebuild"): "instance.rebuild_begun",
    ("POST", "/instances/{instance_id}/cancel"): "instance.move_cancelled",
    ("POST", "/instances/{instance_id}/revisions/{number}/return"): "instance.returned",
    ("POST", "/instances/{instance_id}/peers"): "peer.created",
    ("PUT", _PEER): "peer.changed",
    ("DELETE", _PEER): "peer.deleted",
    ("POST", f"{_PEER}/token"): "peer.shared",
    ("POST", f"{_PEER}/token/mail"): "- the walk has no mail server: see tests/vpn/views/test_mailed_links.py",
    ("DELETE", f"{_PEER}/token"): "peer.share_link_revoked",
    ("POST", f"{_PEER}/enrolment"): _NO_ROUTER,
    ("POST", f"{_PEER}/rotate"): "peer.keys_rotated",
    ("POST", "/sites"): "site.created",
    ("PUT", "/sites/{site_id}"): "site.changed",
    ("DELETE", "/sites/{site_id}"): "site.deleted",
    ("POST", "/users"): "member.created",
    ("PUT", "/users/{user_id}"): "member.changed",
    ("DELETE", "/users/{user_id}"): "member.deleted",
    ("POST", "/groups"): "group.created",
    ("PUT", "/groups/{group_id}"): "group.changed",
    ("DELETE", "/groups/{group_id}"): "group.deleted",
    ("POST", "/tokens"): "apitoken.created",
    ("DELETE", "/tokens/{token_id}"): "apitoken.deleted",
    **dict.fromkeys(
        (("POST", "/router/enrol"), ("POST", "/router/check-in")),
        "- a router's token is its own right: see tests/vpn/api/test_routers.py",
    ),
}
