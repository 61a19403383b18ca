"""All limits of hubs together fit in the host's conntrack table, whatever its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpn.agent.firewall import host_limits, tracking
from vpn.agent.system import nft
from vpn.agent.system.command import Netns, Result

# Entries of attempts expire after ten seconds.
_ATTEMPT_SECONDS = 10


@pytest.mark.parametrize("places", [16_384, 65_536, 262_144, 1_048_576])
def test_a_part_of_the_hosts_table_is_left_to_the_host(
    places: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "nf_conntrack_max"
    path.write_text(f"{places}\n")
    monkeypatch.setattr(tracking, "_MAX", path)
    loaded: list[str] = []
    monkeypatch.setattr(nft, "run", lambda host, script: loaded.append(script))
    monkeypatch.setattr(Netns, "try_run", lambda *_, **__: Result(1, "", "No such file"))
    host_limits.ensure(Netns(None), {}, [], {})
    attempts = loaded[0].split("limit tracked_attempts {")[1].split("}")[0]
    rate, burst = attempts.split("over ")[1].split("/")[0], attempts.split("burst ")[1].split()[0]
    allowed = 64 * tracking.list_of_all() + _ATTEMPT_SECONDS * int(rate) + int(burst)
    assert allowed < 0.92 * places
