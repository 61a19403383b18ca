"""What `manage.py region` and `manage.py server` say to wrong input."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from portal.exceptions import InvalidInput
from tests.factories import BY
from vpn.actions.servers.region import add_region

pytestmark = pytest.mark.django_db


def refusal_of(*arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command(*arguments)
    return str(refused.value)


def test_a_test_of_an_unknown_region_says_that_there_is_none() -> None:
    assert refusal_of("region", "test", "nope").startswith("There is no region nope.")
    add_region("fra", "Frankfurt", by=BY)
    assert refusal_of("region", "test", "fra") == "The region fra has neither a cloud account nor a probe URL."


def test_a_change_of_nothing_asks_for_an_option(caplog: pytest.LogCaptureFixture) -> None:
    add_region("fra", "Frankfurt", by=BY)
    words = "Say what to change, such as --name, --country, --latitude and --longitude."
    assert refusal_of("region", "set", "fra") == words
    assert "region_set" not in caplog.text


def test_an_empty_name_is_asked_for() -> None:
    add_region("fra", "Frankfurt", by=BY)
    where = ("--ssh", "root@192.0.2.7", "--address", "192.0.2.7")
    assert refusal_of("server", "add", "fra", "", *where) == "name: Enter a name."


def test_faults_of_several_fields_are_sentences() -> None:
    faults = InvalidInput({"endpoint": ["Enter a URL."], "capacity": ["Enter a number.", "At least 1."]})
    assert str(faults) == "endpoint: Enter a URL. capacity: Enter a number. At least 1."
