"""Running commands: what an error says, and what it never contains."""

from __future__ import annotations

import pytest

from vpn.agent.system import command
from vpn.agent.system.command import Netns
from vpn.wire.errors import AgentError, parse_error


@pytest.mark.parametrize(
    ("stderr", "code", "says"),
    [
        ("RTNETLINK answers: Operation not permitted", "no-right", "as root"),
        ("Unable to modify interface: Permission denied", "no-right", "as root"),
        ("write: No space left on device", "disk-full", "make room"),
        ("Error: something else\nmore", "failed", "Error: something else"),
        ("", "failed", "exit status 1"),
    ],
)
def test_a_failure_says_what_to_do(stderr: str, code: str, says: str) -> None:
    error = command.explain("ip", command.Result(1, "", stderr))
    assert error.code == code
    assert says in error.message


@pytest.mark.parametrize("place", [Netns(), Netns("no-such-namespace")])
def test_nothing_runs_while_commands_are_forbidden(place: Netns) -> None:
    with pytest.raises(command.CommandsForbiddenError):
        place.run(["true"])
    with pytest.raises(command.CommandsForbiddenError):
        place.start_daemon(["true"])


def test_a_missing_program_names_its_package() -> None:
    with command.forbid(False), pytest.raises(AgentError) as refusal:
        command.run(["wg-that-is-not-here"])
    assert refusal.value.code == "package-missing"
    assert command.missing("wg").message == "The server has no wg: install the package wireguard-tools."


def test_what_is_read_from_standard_input_is_never_quoted() -> None:
    with command.forbid(False), pytest.raises(AgentError) as failure:
        command.run(["false"], "PrivateKey = secret")
    assert "secret" not in str(failure.value)


def test_an_error_survives_its_journey_and_nonsense_does_not() -> None:
    error = AgentError("port-taken", "The port is taken.")
    assert parse_error(error.document()).document() == error.document()
    nonsense: object
    for nonsense in (None, [], {}, {"code": "x", "message": "y"}, {"code": "stale", "message": 5}):
        assert parse_error(nonsense).code == "failed"
