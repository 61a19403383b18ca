"""What a rule can name, in an organization with many sites and members."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from portal.forms.searched import MOST_OPTIONS
from portal.models import Membership
from tests.crowds import MANY, add_members, add_sites
from tests.factories import BY, make_site
from tests.visitor import forms_in
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance, Site


@pytest.fixture
def sites(instance: Instance, admin: Membership) -> list[Site]:
    """More sites and members than are suggested at first."""
    add_members(instance.organization)
    return add_sites(instance.organization)


def path_of(instance: Instance) -> str:
    return f"/instances/{instance.pk}/firewall/"


def suggestions(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<option value="([^"]*)"></option>', page)]


def test_the_first_of_each_kind_are_suggested(admin_browser: Client, instance: Instance, sites: list[Site]) -> None:
    found = suggestions(admin_browser.get(path_of(instance)).content.decode())
    assert found[:2] == ["Anything", "Branch 000 (site)"]
    assert len([one for one in found if one.endswith("(site)")]) == MOST_OPTIONS
    assert len(found) == 1 + 2 * MOST_OPTIONS


def test_the_server_is_asked_for_what_fits_a_typed_text(
    admin_browser: Client, auditor_browser: Client, stranger_browser: Client, instance: Instance, sites: list[Site]
) -> None:
    def asked(text: str) -> list[str]:
        return suggestions(admin_browser.get(path_of(instance), {"ends": text}).content.decode())

    assert asked("ch 054") == ["Anything", "Branch 054 (site)"]
    assert asked("Branch 054 (site)") == ["Anything", "Branch 054 (site)"]
    assert asked("person 054") == ["Anything", "Person 054 (user054@example.org)"]
    assert asked("Person 054 (user054@example.org)") == ["Anything", "Person 054 (user054@example.org)"]
    assert asked("nowhere\x00") == ["Anything"]
    assert suggestions(auditor_browser.get(path_of(instance), {"ends": "054"}).content.decode()) == []
    assert stranger_browser.get(path_of(instance), {"ends": "054"}).status_code == 404


def test_names_that_were_not_suggested_are_shown_and_saved(
    admin_browser: Client, instance: Instance, sites: list[Site]
) -> None:
    update_instance(instance, firewall=[{"name": "one", "source": f"site:{sites[-1].pk}"}], by=BY)
    form = forms_in(admin_browser.get(path_of(instance)).content.decode())[0]
    last = f"Branch {MANY - 1:03}"
    assert form.fields["firewall-0-source"] == [f"{last} (site)"]
    data = {key: values[0] for key, values in form.fields.items()}
    data |= {"firewall-0-destination": "branch 053", "firewall-1-source": "user054@example.org"}
    admin_browser.post(path_of(instance), data | {"firewall-1-source": "person 054"})
    first, second = instance.firewall_rules.all()
    assert (first.source, first.destination) == (f"site:{sites[-1].pk}", f"site:{sites[53].pk}")
    assert second.source.startswith("user:")


def test_a_name_that_is_not_unique_among_many_is_not_guessed(
    admin_browser: Client, instance: Instance, sites: list[Site]
) -> None:
    make_site(instance.organization, name="person 054")
    data = {"firewall-0-source": "Person 054", "firewall_policy": "allow"}
    page = admin_browser.post(path_of(instance), data).content.decode()
    assert "some rules are not valid" in page
    assert not instance.firewall_rules.exists()
