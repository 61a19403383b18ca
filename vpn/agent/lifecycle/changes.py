"""Short reports: only the peers that differ from the last report, which the portal has recorded."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from vpn.wire.report import HubReport, PeerReport, SessionReport

Reported = TypeVar("Reported", PeerReport, SessionReport)


@dataclass(frozen=True)
class LastReport:
    """The last report on a hub: its stamp, the version of the spec, and the hashes of its peers and sessions."""

    stamp: str
    version: tuple[int, int, str]
    peers: dict[str, int]
    sessions: dict[str, int]


def shorten(report: HubReport, last: dict[str, LastReport], known: str) -> HubReport:
    """Return the report with a stamp, without the peers that are as in the report with the stamp `known`.

    `last` has the last report of each hub, and is updated. If the version of the spec differs, all peers are reported,
    because what a session means depends on it.
    """
    if report.peers is None or report.sessions is None:
        return report
    before = last.get(report.hub)
    version = (report.epoch, report.generation, report.digest)
    now = LastReport(secrets.token_hex(8), version, _hashes(report.peers), _hashes(report.sessions))
    last[report.hub] = now
    if before is None or before.stamp != known or before.version != version:
        return replace(report, stamp=now.stamp)
    return replace(
        report,
        stamp=now.stamp,
        since=known,
        peers=_differing(report.peers, before.peers, now.peers),
        sessions=_differing(report.sessions, before.sessions, now.sessions),
        ended=[peer_id for peer_id in before.sessions if peer_id not in now.sessions],
    )


def _hashes(reported: Mapping[str, Reported]) -> dict[str, int]:
    return {name: hash(one) for name, one in reported.items()}


def _differing(
    reported: Mapping[str, Reported], before: Mapping[str, int], now: Mapping[str, int]
) -> dict[str, Reported]:
    return {name: one for name, one in reported.items() if before.get(name) != now[name]}
