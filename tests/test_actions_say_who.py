"""Who acts: each public function below the actions that may change rows is told, by keyword, and passes it on.

What only reads, locks or checks stands in READING, one name each, and is looked through for writes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from portal.models import Principal

ROOMS = ("portal.actions", "vpn.actions")
READING = {
    "portal.actions.account": {"is_crowded"},
    "portal.actions.api_token": {"default_end"},
    "portal.actions.browser_session": {"sessions_of"},
    "portal.actions.directory": {"free_external_id", "names_in_directory"},
    "portal.actions.ending": {"cause_of"},
    "portal.actions.identity": {"connections_of", "has_identity"},
    "portal.actions.link_mail": {"is_crowded_mailbox", "link_message"},
    "portal.actions.notice_mail": {"notice_message"},
    "portal.actions.organization": {"needs_admin"},
    "portal.actions.provider_identity": {"identity_of", "may_join_with", "offer_of"},
    "portal.actions.queued_mail": {"due_mail", "health"},
    "portal.actions.quota": {"lock_organization", "require_room"},
    "portal.actions.reset_mail": {"reset_message"},
    "portal.actions.second_factor": {"reset_fault"},
    "portal.actions.sign_in_link": {"can_have_link", "find_link", "one_time_link", "shares_account"},
    "portal.actions.slug": {"lock_organizations_of"},
    "vpn.actions.people.invitation_lines": {"checked_day", "read_lines"},
    "vpn.actions.activity.asking": {"add_askers", "askers_of", "keep_askers"},
    "vpn.actions.activity.change_words": {"rules_words", "settings_words"},
    "vpn.actions.activity.operation": {"assumed_seconds", "expected_seconds", "was_assumed"},
    "vpn.actions.activity.plan_mail": {
        "can_be_mailed",
        "left_today",
        "most_in_a_day",
        "recipients_of",
        "unlisted_profiles",
    },
    "vpn.actions.activity.plan_turn": {"compare_in_turn", "compute_in_turn"},
    "vpn.actions.activity.previewing": {"is_preview"},
    "vpn.actions.activity.planning": {
        "compute_plan",
        "preview",
        "connected",
        "is_large",
        "compute_small_plan",
        "touch_new_peer",
        "touch_peer",
        "touch_records",
        "touch_rules",
    },
    "vpn.actions.change": {"hold_instance", "if_possible", "lock_changeable", "lock_instance"},
    "vpn.actions.dns.records": {"full_name"},
    "vpn.actions.dns.settings": {"are_records", "cleaned_dns", "records_of", "unanswered_targets"},
    "vpn.actions.firewall.input": {"cleaned_rule", "missing_ends", "present_ends"},
    "vpn.actions.firewall.management": {"cleaned_management"},
    "vpn.actions.firewall.rules": {
        "cleaned_rules",
        "instances_naming",
        "lock_instances",
        "managed_from",
        "naming",
        "prepare_rules",
    },
    "vpn.actions.instances.instance": {"hostname_fault", "open_operation", "pending_work"},
    "vpn.actions.instances.move": {"check_movable", "is_replacing", "lock_places", "placed"},
    "vpn.actions.instances.placement": {"needs_place", "server_in", "with_room"},
    "vpn.actions.instances.pool": {"checked_pool", "cleaned_pool", "free_pool"},
    "vpn.actions.instances.ports": {"free_port_base"},
    "vpn.actions.instances.settings": {"faults_of"},
    "vpn.actions.instances.targets": {"other_server", "same_server"},
    "vpn.actions.instances.trial": {"check_trial", "refuse_during_trial"},
    # They fill in columns of rows in memory, which their caller saves.
    "vpn.actions.peers.certificates": {
        "authority_of",
        "ensure_certificates",
        "hosts_of",
        "hub_due_at",
        "issue_for_peer",
        "issue_hub",
        "renew_hub",
        "renew_revocation_list",
        "shown_hosts",
    },
    "vpn.actions.peers.exits": {
        "change_exit",
        "exit_faults",
        "exits_of",
        "refuse_default_route_beside_exit",
        "refuse_used_exit",
    },
    "vpn.actions.peers.input": {
        "change_faults",
        "checked_subnets",
        "client_faults",
        "end_faults",
        "endpoint_faults",
        "prepare_networks",
        "protocol_faults",
        "refuse_taken_name",
        "subnet_warnings_for",
    },
    "vpn.actions.peers.keys": {"give_keys", "refuse_used_key"},
    "vpn.actions.peers.labels": {"give_label", "wanted_label"},
    "vpn.actions.peers.lost": {"lost_message"},
    "vpn.actions.peers.own": {"devices_left", "open_instances"},
    "vpn.actions.peers.reminder": {"reminder_message"},
    "vpn.actions.peers.row": {"fresh_peer"},
    "vpn.actions.peers.use": {"count_from_now", "days_faults", "end_after", "refuse_more_days"},
    "vpn.actions.profiles.custody": {"window_end"},
    "vpn.actions.profiles.import_link": {"find_import"},
    "vpn.actions.profiles.mailed_link": {"can_be_mailed", "share_message"},
    "vpn.actions.profiles.passphrase": {"passphrase_hash"},
    "vpn.actions.profiles.profile": {
        "digest_of",
        "find_link",
        "find_share_link",
        "is_on_hub",
        "lock_peer",
        "refuse_destroyed",
        "refuse_unready",
    },
    "vpn.actions.revisions.notes": {"noted", "present_note"},
    "vpn.actions.revisions.returning": {"wanted_subnets"},
    "vpn.actions.revisions.words": {"words_between"},
    "vpn.actions.servers.account": {"account_faults", "refuse_other_provider"},
    "vpn.actions.servers.compromise": {"former_hubs_of", "hubs_known_to", "refuse_uncompromisable"},
    "vpn.actions.servers.input": {
        "checked_addresses",
        "checked_code",
        "checked_name",
        "parse_ssh",
        "refuse_compromised",
    },
    "vpn.actions.servers.node": {"carries", "with_open_order"},
    "vpn.actions.servers.server": {"refuse_known"},
    "vpn.actions.servers.strays": {"known_requests"},
    "vpn.actions.sites.aliases": {"proposed_aliases"},
    "vpn.actions.sites.check_in": {"find_router"},
    "vpn.actions.sites.router": {"checked_subnets", "find_enrolment", "why_no_enrolment"},
    "vpn.actions.sites.overlaps": {"claims_on", "first_within", "way_of"},
    "vpn.actions.sites.subnets": {"follows", "lan_of", "lock_site"},
    "vpn.actions.unchanged": {
        "differing_changes",
        "differing_settings",
        "same_networks",
        "without_unchanged_tables",
    },
}
# Django's ways to write rows. Sets and hashes have an `update`, too: see `_is_collection`.
WRITES = {
    "abulk_create", "acreate", "adelete", "asave", "aupdate", "bulk_create", "bulk_update", "create", "create_user",
    "delete", "get_or_create", "issue", "save", "update", "update_or_create", "send", "update_rows", "follow_subnets",
    "changing", "planned_change", "acted", "one_act", "revising",
}  # fmt: skip


# What all actions call to say who acts.
HOOK = "portal.actions.acting"


def modules() -> Iterator[ModuleType]:
    """Each module of the rooms, but the hook itself."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if found.name != HOOK:
                yield importlib.import_module(found.name)


def public_functions(module: ModuleType) -> dict[str, FunctionType]:
    """Those that the module defines itself, context managers too."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def fault_of(function: Callable[..., Any]) -> str:
    """Why a function does not say who acts; "" where it does."""
    by = inspect.signature(function, eval_str=True).parameters.get("by")
    if by is None or by.kind is not by.KEYWORD_ONLY or by.annotation is not Principal:
        return "has no keyword-only parameter `by: Principal`"
    if by.default is not by.empty:
        return "has a default for `by`: it would act for nobody in particular"
    names = {node.id for node in ast.walk(tree_of(function)) if isinstance(node, ast.Name)}
    return "" if "by" in names else "does not pass `by` on"


def faults_of(module: ModuleType, reading: set[str]) -> list[str]:
    """What is wrong with a module, one line for each function."""
    found = []
    for name, function in public_functions(module).items():
        fault = "" if name in reading else fault_of(function)
        if name in reading and (writes := writes_of(function)):
            fault = f"reads by its place in READING, but writes: {', '.join(sorted(writes))}"
        if fault:
            found.append(f"{module.__name__}.{name} {fault}")
    return found


def tree_of(function: Callable[..., Any]) -> ast.AST:
    """The function's source, as a tree."""
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))


def writes_of(function: Callable[..., Any], seen: set[Callable[..., Any]] | None = None) -> set[str]:
    """The writes in a function and in what it calls below the rooms."""
    seen = set() if seen is None else seen
    bare = inspect.unwrap(function)
    if bare in seen:
        return set()
    seen.add(bare)
    found: set[str] = set()
    names = vars(sys.modules[bare.__module__])
    for node in ast.walk(tree_of(bare)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in WRITES and not _is_collection(called.value):
            found.add(f"{bare.__name__}: {ast.unparse(called)}")
        elif isinstance(called, ast.Name):
            if called.id in WRITES:
                found.add(f"{bare.__name__}: {called.id}")
            found |= _writes_of_called(names.get(called.id), seen)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            found |= _writes_of_called(getattr(names.get(called.value.id), called.attr, None), seen)
    return found


def _writes_of_called(called: object, seen: set[Callable[..., Any]]) -> set[str]:
    if not inspect.isfunction(called) or not called.__module__.startswith(ROOMS):
        return set()
    return writes_of(called, seen)


def _is_collection(value: ast.AST) -> bool:
    """Is this one of the sets, or the hash, that have a method of the same name?"""
    return isinstance(value, ast.Name) and value.id in {"_at_work", "digest", "keys"}


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_each_action_says_who_acts(module: ModuleType) -> None:
    assert faults_of(module, READING.get(module.__name__, set())) == []


def test_only_what_is_there_is_named_as_reading() -> None:
    there = {module.__name__: public_functions(module).keys() for module in modules()}
    assert {
        name: names - there.get(name, set()) for name, names in READING.items() if names - there.get(name, set())
    } == {}


MADE_UP = """
from portal.models import Group, Principal

def without(group: Group) -> None:
    group.delete()

def positional(group: Group, by: Principal) -> None:
    group.delete()

def optional(group: Group, *, by: Principal | None = None) -> None:
    group.delete()

def by_default(group: Group, *, by: Principal = Principal.portal("no reason")) -> None:
    _note(by)

def unused(group: Group, *, by: Principal) -> None:
    group.delete()

def good(group: Group, *, by: Principal) -> None:
    _note(by)

def listed(group: Group) -> None:
    _away(group)

def reads(group: Group) -> str:
    return group.name

def _note(by: Principal) -> None: ...

def _away(group: Group) -> None:
    group.delete()
"""


def test_a_new_action_that_does_not_say_who_acts_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_action.py").write_text(MADE_UP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(globals(), "ROOMS", ("made_up_action",))
    module = importlib.import_module("made_up_action")
    found = dict(line.removeprefix("made_up_action.").split(" ", 1) for line in faults_of(module, {"listed", "reads"}))
    assert found.keys() == {"without", "positional", "optional", "by_default", "unused", "listed"}
    assert "_away: group.delete" in found["listed"]
