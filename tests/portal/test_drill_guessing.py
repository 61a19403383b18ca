"""Guessing of passwords: strangers are slowed down, and never shut the owner out of a device of theirs."""

from __future__ import annotations

import os

import pytest
from django.core import signing
from django.test import Client

from portal.models import Membership, Organization, User
from portal.sign_in.known_devices import COOKIE
from tests.factories import PASSWORD, make_member

LOGIN = "/accounts/login/"
DRILL = bool(os.environ.get("DRILL"))
NETWORKS = 2000 if DRILL else 80


def try_once(browser: Client, email: str, password: str, address: str) -> bool:
    """Post the sign-in form from an address; did it let us in?"""
    answer = browser.post(LOGIN, {"login": email, "password": password}, REMOTE_ADDR=address)
    assert answer.status_code in {200, 302}
    return answer.status_code == 302


def known(email: str, address: str = "198.51.100.1") -> Client:
    """A browser in which the owner signed in once, and signed out."""
    browser = Client()
    assert try_once(browser, email, PASSWORD, address)
    browser.post("/accounts/logout/")
    return browser


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The guesses that were compared with the account's password."""
    guesses: list[str] = []
    check = User.check_password

    def note(self: User, raw_password: str) -> bool:
        guesses.append(raw_password)
        return check(self, raw_password)

    monkeypatch.setattr(User, "check_password", note)
    return guesses


def test_five_wrong_passwords_from_one_network_leave_the_owner_everywhere_else(member: Membership) -> None:
    email = member.user.email
    for number in range(6):
        assert not try_once(Client(), email, f"wrong {number}", "203.0.113.5")
    assert not try_once(Client(), email, PASSWORD, "203.0.113.5"), "guessed right behind the limit"
    assert try_once(Client(), email, PASSWORD, "198.51.100.9"), "the owner, elsewhere"


def test_a_known_device_is_not_shut_out_by_a_stranger_in_the_same_network(member: Membership) -> None:
    email = member.user.email
    owner = known(email, "203.0.113.5")
    for number in range(40):
        try_once(Client(), email, f"wrong {number}", "203.0.113.5")
    assert not try_once(Client(), email, PASSWORD, "203.0.113.5")
    assert try_once(owner, email, PASSWORD, "203.0.113.5")


def test_guessing_from_many_networks_is_bounded_and_the_owners_device_gets_in(
    member: Membership, looked_at: list[str]
) -> None:
    email = member.user.email
    owner = known(email)
    looked_at.clear()
    for number in range(NETWORKS):
        address = f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}"
        try_once(Client(), email, f"wrong {number}", address)
    print(f"{NETWORKS} networks, one guess each: {len(looked_at)} were compared with the password")
    assert len(looked_at) <= 50
    assert not try_once(Client(), email, PASSWORD, "192.0.2.77")
    assert try_once(owner, email, PASSWORD, "192.0.2.78"), "wherever it is now"


def test_one_network_is_counted_over_all_accounts(organization: Organization, looked_at: list[str]) -> None:
    people = [make_member(organization).user.email for _ in range(15)]
    for email in people:
        try_once(Client(), email, "a common password", "203.0.113.5")
    assert len(looked_at) == 10
    assert try_once(Client(), people[-1], PASSWORD, "203.0.113.6")


def test_one_customers_ipv6_network_is_one_network(member: Membership, looked_at: list[str]) -> None:
    for number in range(20):
        try_once(Client(), member.user.email, "wrong", f"2001:db8:0:1::{number:x}")
    assert len(looked_at) == 5
    assert try_once(Client(), member.user.email, PASSWORD, "2001:db8:0:2::1")


def test_a_known_device_is_counted_too(member: Membership, looked_at: list[str]) -> None:
    owner = known(member.user.email)
    looked_at.clear()
    for number in range(8):
        try_once(owner, member.user.email, f"wrong {number}", f"203.0.113.{number}")
    assert len(looked_at) == 5
    assert try_once(Client(), member.user.email, PASSWORD, "192.0.2.1"), "and shuts nobody else out"


def test_a_device_is_known_for_its_own_accounts_alone(
    member: Membership, auditor: Membership, looked_at: list[str]
) -> None:
    attacker = known(auditor.user.email)
    looked_at.clear()
    for number in range(20):
        try_once(attacker, member.user.email, f"wrong {number}", "203.0.113.5")
    assert len(looked_at) == 5


def test_who_is_known_for_another_account_of_the_address_guesses_as_a_stranger(
    member: Membership, looked_at: list[str]
) -> None:
    email = member.user.email
    own = User.objects.create_user(email, "the attacker's own password")
    # As many devices as the attacker likes: their own password makes each of them known.
    devices = [Client() for _ in range(4)]
    for device in devices:
        assert try_once(device, email, "the attacker's own password", "203.0.113.5")
        device.post("/accounts/logout/")
    looked_at.clear()
    for number in range(40):
        try_once(devices[number % 4], email, f"wrong {number}", "203.0.113.5")
    print(f"{len(looked_at)} comparisons for 40 guesses from 4 devices")
    # 4 devices with 5 guesses each at the attacker's own account, and 5 of the network at the owner's.
    assert len(looked_at) == 25
    assert try_once(devices[0], email, "the attacker's own password", "192.0.2.1") is False, "a device is counted"
    assert own.check_password("the attacker's own password")


def test_a_known_device_signs_in_to_another_account_of_the_address(member: Membership) -> None:
    owner = known(member.user.email)
    User.objects.create_user(member.user.email, "the password of a second account")
    assert try_once(owner, member.user.email, "the password of a second account", "203.0.113.5")


def test_a_second_account_of_the_address_shuts_no_known_device_out(member: Membership) -> None:
    owner = known(member.user.email)
    User.objects.create_user(member.user.email, "the password of a second account")
    for number in range(20):
        try_once(Client(), member.user.email, f"wrong {number}", "203.0.113.5")
    assert try_once(owner, member.user.email, PASSWORD, "203.0.113.5")


def test_a_new_password_makes_devices_of_the_former_one_unknown(member: Membership, looked_at: list[str]) -> None:
    email = member.user.email
    devices = [known(email) for _ in range(3)]
    member.user.set_password("a password that nobody else knows")
    member.user.save()
    looked_at.clear()
    for number in range(15):
        try_once(devices[number % 3], email, f"wrong {number}", "203.0.113.5")
    assert len(looked_at) == 5, "they are counted as strangers"


def test_the_device_in_which_a_password_is_changed_stays_known(member: Membership) -> None:
    owner = Client()
    assert try_once(owner, member.user.email, PASSWORD, "203.0.113.5")
    new = "a password that nobody else knows"
    changed = owner.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert changed.status_code == 302
    owner.post("/accounts/logout/")
    for number in range(20):
        try_once(Client(), member.user.email, f"wrong {number}", "203.0.113.5")
    assert try_once(owner, member.user.email, new, "203.0.113.5")


@pytest.mark.parametrize("forged", ["empty", "nonsense", "of another purpose", "of another shape"])
def test_a_forged_cookie_makes_no_device_known(member: Membership, looked_at: list[str], forged: str) -> None:
    values = {
        "empty": "",
        "nonsense": "nonsense",
        "of another purpose": signing.dumps(["device", []], salt="another"),
        "of another shape": signing.dumps(1, salt="portal.known-device"),
    }
    browser = Client()
    browser.cookies[COOKIE] = values[forged]
    for number in range(8):
        try_once(browser, member.user.email, f"wrong {number}", "203.0.113.5")
    assert len(looked_at) == 5


def test_signing_in_again_and_again_is_not_a_failure(member: Membership) -> None:
    for _ in range(15):
        assert try_once(Client(), member.user.email, PASSWORD, "203.0.113.5")


def test_an_address_without_an_account_is_answered_alike(member: Membership) -> None:
    def answers(email: str, address: str) -> list[bytes]:
        pages = [
            Client().post(LOGIN, {"login": email, "password": "wrong"}, REMOTE_ADDR=address).content for _ in range(7)
        ]
        return [page[page.index(b"<main") :].replace(email.encode(), b"") for page in pages]

    def plain(pages: list[bytes]) -> list[bool]:
        return [b"Too many attempts failed" in page for page in pages]

    assert plain(answers(member.user.email, "203.0.113.5")) == plain(answers("nobody@example.org", "203.0.113.6"))


def test_the_cookie_says_nothing_and_stays_with_the_sign_in_pages(member: Membership) -> None:
    cookie = known(member.user.email).cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/accounts/"
    assert member.user.email not in signing.loads(cookie.value, salt="portal.known-device").__repr__()
