"""Two accounts that are known in the same organizations are renamed at the same moment: nobody waits in a circle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from portal.actions.member import change_member
from portal.models import Membership, MembershipState
from tests.factories import BY, make_member, make_organization

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
DEADLINE = 20
ROUNDS = 5


def test_both_get_their_names_everywhere() -> None:
    home, other = make_organization(), make_organization("Other")
    anna, ben = make_member(home, name="Anna"), make_member(other, name="Ben")
    for member, elsewhere in ((anna, other), (ben, home)):
        Membership.objects.create(organization=elsewhere, user=member.user, state=MembershipState.INVITED)
    for number in range(ROUNDS):
        start = Barrier(2, timeout=DEADLINE)
        with ThreadPoolExecutor(2) as pool:
            names = {member: f"{member.pk.hex[:8]} {number}" for member in (anna, ben)}
            renames = [pool.submit(_rename, start, member, name) for member, name in names.items()]
            for rename in renames:
                rename.result(DEADLINE)
    for member in (anna, ben):
        slugs = set(Membership.objects.filter(user=member.user).values_list("slug", flat=True))
        assert slugs == {f"{member.pk.hex[:8]}-{ROUNDS - 1}"}


def _rename(start: Barrier, member: Membership, name: str) -> None:
    try:
        start.wait()
        change_member(member, name=name, by=BY)
    finally:
        connection.close()
