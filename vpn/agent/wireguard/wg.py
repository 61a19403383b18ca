"""Run wg(8) inside a hub. Keys are passed on standard input only."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from vpn.agent.memory.names import Names
from vpn.agent.system import command
from vpn.agent.system.command import Result
from vpn.wire import codes
from vpn.wire.errors import FAILED, PORT_TAKEN, AgentError

STDIN: Final = "/dev/stdin"
_KEYS_PER_COMMAND: Final = 400


def run(names: Names, argv: list[str], stdin: str = "") -> None:
    """Run wg(8) in the hub's namespace. Raises AgentError."""
    require_success(names.inside.try_run(argv, stdin), "wg")


def for_keys(names: Names, keys: Iterable[str], *action: str) -> None:
    """Apply the same `wg set` action to each of these peers. Raises AgentError."""
    remaining = iter(keys)
    while chunk := list(islice(remaining, _KEYS_PER_COMMAND)):
        run(names, ["wg", "set", names.wireguard, *(word for key in chunk for word in ("peer", key, *action))])


def require_success(result: Result, program: str) -> None:
    """Raise AgentError if a command that sets up the interface failed."""
    if result.code == 0:
        return
    if "address already in use" in result.err.lower():
        message = "The hub's UDP port is taken by another program: free it or choose another port."
        raise AgentError(PORT_TAKEN, message, codes.WIREGUARD_OWN_PORT_TAKEN.of())
    if program == "wg" and "unable to parse" in result.err.lower():
        # The error of wg(8) quotes the unparsable text, which may be a key.
        message = "wg refused the hub's configuration."
        raise AgentError(FAILED, message, codes.WIREGUARD_CONFIGURATION_REFUSED.of())
    raise command.explain(program, result)
