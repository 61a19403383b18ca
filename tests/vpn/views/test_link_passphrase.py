"""A share link with a passphrase: the link alone opens nothing, and few tries end it."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.models import JournalEntry
from tests.factories import BY, settle
from tests.vpn.api.caller import Caller, refused
from vpn.actions.profiles.passphrase import MOST_WRONG
from vpn.actions.profiles.profile import issue_link
from vpn.models import Peer, ProfileLink

WORDS = "seven green kites"


@pytest.fixture
def token(client_peer: Peer) -> str:
    """A link to a member's profile, with a passphrase."""
    settle(client_peer.instance)
    return issue_link(client_peer, by=BY, passphrase=WORDS)[0]


def test_the_page_asks_for_it_and_the_right_one_opens(token: str) -> None:
    browser = Client()
    assert "Passphrase from the sender" in browser.get(f"/p/{token}/").content.decode()
    asked = browser.post(f"/p/{token}/")
    assert asked.status_code == 403
    assert "That is not the passphrase" not in asked.content.decode()
    wrong = browser.post(f"/p/{token}/", {"passphrase": "another"})
    assert wrong.status_code == 403
    assert "That is not the passphrase" in wrong.content.decode()
    assert "PrivateKey" not in wrong.content.decode()
    opened = browser.post(f"/p/{token}/", {"passphrase": f" {WORDS} "})
    assert opened.status_code == 200
    assert "PrivateKey = " in opened.content.decode()
    # The same browser comes back, and downloads, without it.
    assert browser.get(f"/p/{token}/").status_code == 200
    assert "PrivateKey = " in browser.post(f"/p/{token}/", {"download": "1"}).content.decode()


def test_a_browser_that_waits_for_the_hub_gives_it_once(token: str, client_peer: Peer) -> None:
    Peer.objects.update(applied_digest="")
    browser = Client()
    assert browser.post(f"/p/{token}/", {"passphrase": WORDS}).status_code == 503
    settle(client_peer.instance)
    assert Client().post(f"/p/{token}/").status_code == 403
    assert browser.post(f"/p/{token}/").status_code == 200


def test_few_wrong_ones_end_the_link_and_each_is_in_the_journal(token: str) -> None:
    browser = Client()
    statuses = [browser.post(f"/p/{token}/", {"passphrase": "wrong one"}).status_code for _ in range(MOST_WRONG)]
    assert statuses == [403] * (MOST_WRONG - 1) + [404]
    assert browser.post(f"/p/{token}/", {"passphrase": WORDS}).status_code == 404
    assert not ProfileLink.objects.exists()
    assert JournalEntry.objects.filter(code="peer.passphrase_refused").count() == MOST_WRONG
    assert Peer.objects.get().key_due_at is None


def test_programs_send_it_in_a_header(token: str) -> None:
    refused(Caller(token).get("/client"), 403, "passphrase-missing")
    refused(Caller(token).get("/client", X_Passphrase="wrong one"), 403, "passphrase-wrong")
    answer = Caller(token).get("/client", X_Passphrase=WORDS)
    assert answer.status_code == 200
    refused(Caller(token).get("/client", X_Passphrase=WORDS), 404)


def test_it_is_chosen_on_the_links_page_and_stored_as_a_hash(member_browser: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    first = member_browser.post(f"/peers/{client_peer.pk}/link/").content.decode()
    assert "Ask for a passphrase" in first
    page = member_browser.post(f"/peers/{client_peer.pk}/link/", {"passphrase": WORDS}).content.decode()
    assert "It asks for the passphrase that you chose" in page
    assert WORDS not in page
    stored = ProfileLink.objects.get()
    assert stored.passphrase_hash
    assert WORDS not in stored.passphrase_hash
    found = re.search(r"/p/([\w-]+)/", page)
    assert found
    assert Client().post(f"/p/{found[1]}/", {"passphrase": WORDS}).status_code == 200


@pytest.mark.parametrize("passphrase", ["short", "x" * 101])
def test_one_that_is_too_short_or_too_long_makes_no_link(
    member_browser: Client, client_peer: Peer, passphrase: str
) -> None:
    settle(client_peer.instance)
    answer = member_browser.post(f"/peers/{client_peer.pk}/link/", {"passphrase": passphrase}, follow=True)
    assert "6 to 100 characters" in answer.content.decode()
    assert not ProfileLink.objects.exists()
