"""The firewall page: a table of rules that works without JavaScript, too."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from portal.actions.group import create_group
from portal.models import Group, Membership, Organization
from tests.factories import BY, hits_of, make_member, make_site, observe_hits
from tests.visitor import Form, forms_in
from vpn.actions.instances.settings import update_instance
from vpn.models import FirewallRule, Instance, Site

FIELDS = ("name", "action", "protocol", "port", "source", "destination")
NEW_ROW = ("", "accept", "any", "", "", "")


@pytest.fixture
def group(organization: Organization, member: Membership) -> Group:
    return create_group(organization, name="Sales", members=[member.pk], by=BY)


def path_of(instance: Instance) -> str:
    return f"/instances/{instance.pk}/firewall/"


def form_on(page: str) -> Form:
    """The page's own form."""
    return forms_in(page)[0]


def rows_in(page: str) -> list[tuple[str, ...]]:
    """The rows of the form: name, action, protocol, port, source, destination."""
    fields = form_on(page).fields
    numbers = sorted({int(found[1]) for key in fields if (found := re.match(r"firewall-(\d+)-", key))})
    return [tuple(fields[f"firewall-{number}-{name}"][0] for name in FIELDS) for number in numbers]


def send(browser: Client, instance: Instance, **changes: str) -> str:
    """Send the form as it is, with some fields changed; the page that follows. Underscores stand for hyphens."""
    data = {key: values[0] for key, values in form_on(browser.get(path_of(instance)).content.decode()).fields.items()}
    return post(browser, instance, data | {key.replace("__", "-"): value for key, value in changes.items()})


def post(browser: Client, instance: Instance, data: dict[str, Any]) -> str:
    return browser.post(path_of(instance), data, follow=True).content.decode()


def names(instance: Instance) -> list[str]:
    return list(instance.firewall_rules.values_list("name", flat=True))


def test_without_rules_the_page_says_what_the_policy_means(admin_browser: Client, instance: Instance) -> None:
    page = admin_browser.get(path_of(instance)).content.decode()
    for words in ("All peers reach each other", "No peer reaches another", "the policy above decides alone"):
        assert words in page
    form = form_on(page)
    assert form.fields["firewall_policy"] == ["allow"]
    assert form.buttons[-1] == "Save"
    assert form.buttons[0] == "Save", "what the Enter key presses"


def test_rules_are_saved_by_the_names_of_the_api(
    admin_browser: Client, instance: Instance, site: Site, group: Group
) -> None:
    data = {
        "firewall_policy": "deny",
        "firewall-0-name": "web",
        "firewall-0-protocol": "tcp",
        "firewall-0-port": "443",
        "firewall-0-source": f"group:{group.pk}",
        "firewall-0-destination": f"site:{site.pk}",
        "firewall-1-action": "drop",
        "firewall-1-source": "any",
        "firewall-1-destination": "10.1.0.0/24",
    }
    page = post(admin_browser, instance, data)
    assert "Saved." in page
    assert rows_in(page) == [
        ("web", "accept", "tcp", "443", "Sales (group)", "Berlin (site)"),
        ("", "drop", "any", "", "Anything", "10.1.0.0/24"),
    ]
    instance.refresh_from_db()
    assert instance.firewall_policy == "deny"
    assert [rule.source for rule in instance.firewall_rules.all()] == [f"group:{group.pk}", "any"]


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("Berlin (site)", "site"),
        ("berlin", "site"),
        ("Sales (group)", "group"),
        (" SALES ", "group"),
        ("Anna Weber (anna@example.org)", "user"),
        ("anna weber", "user"),
        ("anything", "any"),
        ("any", "any"),
    ],
)
def test_ends_are_typed_as_people_call_them(
    admin_browser: Client, instance: Instance, site: Site, group: Group, typed: str, kind: str
) -> None:
    anna = make_member(instance.organization, name="Anna Weber", email="anna@example.org")
    post(admin_browser, instance, {"firewall-0-source": typed, "firewall-0-destination": "any"})
    ends = {"site": f"site:{site.pk}", "group": f"group:{group.pk}", "user": f"user:{anna.pk}", "any": "any"}
    assert instance.firewall_rules.get().source == ends[kind]


def test_a_name_that_two_have_is_not_guessed(admin_browser: Client, instance: Instance, group: Group) -> None:
    make_site(instance.organization, name="Sales")
    page = post(admin_browser, instance, {"firewall-0-source": "Sales", "firewall-0-destination": "any"})
    assert "“Sales” is none of them" in page
    assert not instance.firewall_rules.exists()


def test_names_that_differ_in_case_alone_are_told_apart(admin_browser: Client, instance: Instance) -> None:
    organization = instance.organization
    sites = {name: make_site(organization, name=name) for name in ("Hamburg", "hamburg")}
    groups = {name: create_group(organization, name=name, by=BY) for name in ("Straße", "STRASSE")}
    for name, site in sites.items():
        post(admin_browser, instance, {"firewall-0-source": f"{name} (site)", "firewall-0-destination": "any"})
        assert instance.firewall_rules.get().source == f"site:{site.pk}"
    for name, group in groups.items():
        post(admin_browser, instance, {"firewall-0-source": f"{name} (group)", "firewall-0-destination": "any"})
        assert instance.firewall_rules.get().source == f"group:{group.pk}"
    for typed in ("Hamburg", "HAMBURG (site)", "strasse", "strasse (group)"):
        page = post(admin_browser, instance, {"firewall-0-source": typed, "firewall-0-destination": "any"})
        assert f"“{typed}” is none of them" in page


def test_nobody_is_called_as_what_a_rule_has_by_itself(admin_browser: Client, instance: Instance, site: Site) -> None:
    organization = instance.organization
    groups = {name: create_group(organization, name=name, by=BY) for name in ("Any", "Anything")}
    sites = {name: make_site(organization, name=name) for name in ("10.1.0.0/24", "fd00::/64")}
    for typed, end in (
        ("Any", "any"),
        ("anything", "any"),
        ("Anything", "any"),
        ("10.1.0.0/24", "10.1.0.0/24"),
        ("fd00::/64", "fd00::/64"),
        (f"site:{site.pk}", f"site:{site.pk}"),
        ("Any (group)", f"group:{groups['Any'].pk}"),
        ("Anything (group)", f"group:{groups['Anything'].pk}"),
        ("10.1.0.0/24 (site)", f"site:{sites['10.1.0.0/24'].pk}"),
        ("FD00::/64 (site)", f"site:{sites['fd00::/64'].pk}"),
    ):
        post(admin_browser, instance, {"firewall-0-name": "one", "firewall-0-source": typed})
        assert instance.firewall_rules.get().source == end, typed


def test_all_names_are_offered(admin_browser: Client, instance: Instance, site: Site, group: Group) -> None:
    page = admin_browser.get(path_of(instance)).content.decode()
    for option in ("Anything", "Berlin (site)", "Sales (group)", instance.organization.name):
        assert option in page
    assert '<option value="Berlin (site)">' in page


def test_faults_stand_beside_their_fields_and_nothing_typed_is_lost(admin_browser: Client, instance: Instance) -> None:
    data = {
        "firewall_policy": "deny",
        "firewall-0-name": "fine",
        "firewall-0-source": "any",
        "firewall-0-destination": "any",
        "firewall-1-name": "web",
        "firewall-1-protocol": "tcp",
        "firewall-1-port": "99999",
        "firewall-1-source": "Nowhere <b>",
        "firewall-1-destination": "10.1.0.7/24",
    }
    page = post(admin_browser, instance, data)
    assert "Nothing is saved yet" in page
    assert rows_in(page)[1] == ("web", "accept", "tcp", "99999", "Nowhere <b>", "10.1.0.7/24")
    assert form_on(page).fields["firewall_policy"] == ["deny"]
    for field, words in (
        ("port", "from 1 to 65535"),
        ("source", "“Nowhere &lt;b&gt;” is none of them"),
        ("destination", "the network is 10.1.0.0/24"),
    ):
        found = re.search(rf'id="id_firewall-1-{field}_error">(.*?)</div>', page, re.DOTALL)
        assert found, field
        assert words in found[1]
        assert f'aria-describedby="id_firewall-1-{field}_error"' in page
    assert "firewall-0-name_error" not in page
    instance.refresh_from_db()
    assert (instance.firewall_policy, names(instance)) == ("allow", [])


def test_rows_are_moved_removed_and_added_without_saving(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a"}, {"name": "b"}, {"name": "c"}], by=BY)
    for button, order in (
        ({"move": "1-up"}, "bac"),
        ({"move": "1-down"}, "acb"),
        ({"move": "0-up"}, "abc"),
        ({"move": "9-up"}, "abc"),
        ({"remove": "1"}, "ac"),
        ({"remove": "nonsense"}, "abc"),
    ):
        page = send(admin_browser, instance, **button)
        assert "".join(row[0] for row in rows_in(page)) == order
        assert "Not saved yet" in page
    page = send(admin_browser, instance, add="true", firewall__2__name="typed")
    assert [row[0] for row in rows_in(page)] == ["a", "b", "typed", ""]
    assert names(instance) == ["a", "b", "c"]


def test_a_rearranged_table_is_saved_as_it_is_shown(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a", "port": "1"}, {"name": "b", "port": "2"}], by=BY)
    observe_hits(FirewallRule.objects.filter(name="a"), 7)
    page = send(admin_browser, instance, move="0-down")
    data = {key: values[0] for key, values in form_on(page).fields.items()}
    assert "Saved." in post(admin_browser, instance, data)
    assert (names(instance), hits_of(instance)) == (["b", "a"], [0, 7])


def test_hits_are_shown_and_follow_their_row(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a", "port": "1"}, {"name": "b", "port": "2"}], by=BY)
    observe_hits(FirewallRule.objects.filter(name="b"), 12345)
    for page in (admin_browser.get(path_of(instance)).content.decode(), send(admin_browser, instance, move="1-up")):
        assert "12,345" in page


def test_an_empty_row_is_no_rule(admin_browser: Client, instance: Instance) -> None:
    data = {"firewall-3-action": "accept", "firewall-3-name": "", "firewall-3-source": "", "firewall-3-port": ""}
    page = post(admin_browser, instance, data)
    assert "nothing changed" in page
    assert not instance.firewall_rules.exists()


def test_an_action_and_a_protocol_are_enough_for_a_rule(admin_browser: Client, instance: Instance) -> None:
    for number, chosen in enumerate(({"action": "drop"}, {"protocol": "icmp"}, {"name": "web"})):
        new = {field: chosen.get(field, default) for field, default in zip(FIELDS, NEW_ROW, strict=True)}
        page = send(admin_browser, instance, **{f"firewall__{number}__{field}": new[field] for field in FIELDS})
        assert "Saved." in page
    assert rows_in(page) == [
        ("", "drop", "any", "", "Anything", "Anything"),
        ("", "accept", "icmp", "", "Anything", "Anything"),
        ("web", "accept", "any", "", "Anything", "Anything"),
    ]


def test_what_is_there_may_be_sent_again(admin_browser: Client, instance: Instance, site: Site) -> None:
    update_instance(instance, firewall=[{"source": f"site:{site.pk}"}], firewall_policy="deny", by=BY)
    instance.refresh_from_db()
    assert "nothing changed" in send(admin_browser, instance)
    assert Instance.objects.get().desired_generation == instance.desired_generation


def test_too_many_rules_are_refused_in_words(admin_browser: Client, instance: Instance) -> None:
    data = {f"firewall-{number}-{name}": "any" for number in range(1001) for name in ("source", "destination")}
    assert "at most 1,000 rules" in post(admin_browser, instance, data)


def test_a_thousand_rules_are_saved(admin_browser: Client, instance: Instance) -> None:
    rules = [{"name": f"rule {number}", "port": str(number)} for number in range(1, 1001)]
    update_instance(instance, firewall=rules, by=BY)
    assert "Saved." in send(admin_browser, instance, firewall__999__name="last")
    assert names(instance)[-2:] == ["rule 999", "last"]


def test_the_page_takes_a_constant_number_of_queries(
    admin_browser: Client, instance: Instance, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        group = create_group(instance.organization, name=f"Group {number}", by=BY)
        make_site(instance.organization)
        make_member(instance.organization, password=None)
    update_instance(
        instance, firewall=[{"source": f"group:{group.pk}", "port": str(port)} for port in range(1, 50)], by=BY
    )
    with django_assert_max_num_queries(13):  # type: ignore[operator]
        admin_browser.get(path_of(instance))


def test_an_auditor_reads_in_words(auditor_browser: Client, instance: Instance, site: Site) -> None:
    assert "All peers reach each other" in auditor_browser.get(path_of(instance)).content.decode()
    update_instance(instance, firewall=[{"name": "web", "source": f"site:{site.pk}"}], firewall_policy="deny", by=BY)
    page = auditor_browser.get(path_of(instance)).content.decode()
    for words in ("No peer reaches another, unless a rule says otherwise", "web", "Berlin (site)", "Accept"):
        assert words in page
    assert not forms_in(page)
    assert auditor_browser.post(path_of(instance), {"firewall_policy": "allow"}).status_code == 403


def test_another_organization_finds_nothing(stranger_browser: Client, instance: Instance) -> None:
    assert stranger_browser.get(path_of(instance)).status_code == 404
    assert stranger_browser.post(path_of(instance), {"firewall_policy": "deny"}).status_code == 404


def test_an_instance_that_is_going_away_says_so(admin_browser: Client, instance: Instance) -> None:
    Instance.objects.update(state="deleting")
    assert "is being deleted" in post(admin_browser, instance, {"firewall_policy": "deny"})


def test_removing_a_person_says_which_rules_go_along(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    path = f"/people/{member.pk}/remove/"
    assert "firewall rules" not in admin_browser.get(path).content.decode()
    update_instance(instance, firewall=[{"source": f"user:{member.pk}"}, {"destination": f"user:{member.pk}"}], by=BY)
    page = admin_browser.get(path).content.decode()
    assert page.count("The firewall rules of Frankfurt that name them are removed.") == 1


def sent_form(browser: Client, instance: Instance) -> dict[str, str]:
    """What a browser would send of the page as it is now."""
    form = form_on(browser.get(path_of(instance)).content.decode())
    return {key: values[0] for key, values in form.fields.items()}


def test_the_policy_alone_leaves_the_rules(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a"}], by=BY)
    Instance.objects.update(state="deleting")
    page = post(admin_browser, instance, {"firewall_policy": "deny"})
    assert [row[0] for row in rows_in(page)] == ["a"]
    Instance.objects.update(state=instance.state)
    assert "Saved." in post(admin_browser, instance, {"firewall_policy": "deny"})
    assert names(instance) == ["a"]


def test_the_last_rule_is_removed(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "a"}], by=BY)
    page = send(admin_browser, instance, remove="0")
    assert not rows_in(page)
    data = {key: values[0] for key, values in form_on(page).fields.items()}
    assert "Saved." in post(admin_browser, instance, data)
    assert names(instance) == []


@pytest.mark.parametrize("other", [{"firewall": [{"name": "theirs"}]}, {"firewall_policy": "deny"}])
def test_what_somebody_else_saved_meanwhile_is_not_lost_unseen(
    admin_browser: Client, instance: Instance, other: dict[str, Any]
) -> None:
    update_instance(instance, firewall=[{"name": "old"}], by=BY)
    mine = sent_form(admin_browser, instance) | {"firewall-0-name": "mine"}
    update_instance(instance, by=BY, **other)
    observe_hits(FirewallRule.objects.all(), 7)
    kept = names(instance)
    page = post(admin_browser, instance, mine | {"preview": "true"})
    assert "Another user changed this meanwhile" in page
    moved = {
        key: values[0] for key, values in form_on(post(admin_browser, instance, mine | {"add": "1"})).fields.items()
    }
    for data in (moved, mine):
        page = post(admin_browser, instance, data)
        assert "Another user changed this meanwhile" in page
        assert rows_in(page)[0][0] == "mine"
        assert names(instance) == kept
    again = {key: values[0] for key, values in form_on(page).fields.items()}
    assert "Saved." in post(admin_browser, instance, again)
    assert names(instance) == ["mine"]


def test_hits_are_no_change_of_somebody_else(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "old"}], by=BY)
    mine = sent_form(admin_browser, instance) | {"firewall-0-name": "mine"}
    observe_hits(FirewallRule.objects.all(), 7)
    assert "Saved." in post(admin_browser, instance, mine)
