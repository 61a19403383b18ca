"""HubReport: the agent's observations and changes, as JSON."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from vpn.wire import report_values
from vpn.wire.finding import Finding, FindingInvalidError, parse_finding
from vpn.wire.identity import HUB
from vpn.wire.parsing import UUID, WIREGUARD_KEY
from vpn.wire.report_values import ReportInvalidError
from vpn.wire.trial import TrialReport, parse_trial_report

COMPONENTS: Final = ("namespace", "wireguard", "openvpn", "routing", "firewall", "egress", "dns")
FAMILIES: Final = ("ipv4", "ipv6")
_MAXIMUM_RULES: Final = 10_000
_MOST_UPSTREAMS: Final = 64
_MOST_DRIFT: Final = 20
_LONGEST_SENTENCE: Final = 200
_MOST_FEATURES: Final = 20
MAXIMUM_PEERS: Final = 70_000  # a /16 pool has 65,534 addresses

_SERVER = re.compile(r"[0-9a-f:.]{2,45}")
_LISTENERS: Final = ("udp", "tcp", "compat")
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
STAMP: Final = re.compile(r"[0-9a-f]{16}")
_FEATURE = re.compile(r"[a-z][a-z-]{0,29}")
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")


class PeerDocument(TypedDict):
    """An observed WireGuard peer in JSON."""

    endpoint: str | None
    latest_handshake: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class PeerReport:
    """An observed WireGuard peer: its endpoint, last handshake (Unix time, 0: never) and byte counters."""

    endpoint: str | None
    latest_handshake: int
    received_bytes: int
    sent_bytes: int

    def document(self) -> PeerDocument:
        """Return the peer as JSON data."""
        return {
            "endpoint": self.endpoint,
            "latest_handshake": self.latest_handshake,
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
        }


class SessionDocument(TypedDict):
    """An observed OpenVPN session in JSON."""

    endpoint: str | None
    connected_since: int
    received_bytes: int
    sent_bytes: int
    listener: str
    push_outdated: bool


@dataclass(frozen=True)
class SessionReport:
    """An observed OpenVPN session: endpoint, start (Unix time), byte counters, and listener (`udp`, ...).

    `push_outdated`: its pushed options have changed since, so the client is about to be told to reconnect.
    """

    endpoint: str | None
    connected_since: int
    received_bytes: int
    sent_bytes: int
    listener: str
    push_outdated: bool = False

    def document(self) -> SessionDocument:
        """Return the session as JSON data."""
        return {
            "endpoint": self.endpoint,
            "connected_since": self.connected_since,
            "received_bytes": self.received_bytes,
            "sent_bytes": self.sent_bytes,
            "listener": self.listener,
            "push_outdated": self.push_outdated,
        }


@dataclass(frozen=True)
class HubReport:
    """The agent's observations and changes of one hub.

    `digest` is the digest of the hub's spec; empty if a change was interrupted between two specs. `changed` has one
    entry per component. `observed_at` is Unix time. The other fields are only in the answer to `status`: `peers` that
    ever connected over WireGuard (by public key), `sessions` over OpenVPN (by peer id), `hits` (packets by rule id),
    `drift` (changes that the portal did not make), `families` (`ipv4`, `ipv6`, if the server has a default route), and
    `upstreams` (by address of an upstream resolver: did it answer lately?).
    """

    hub: str
    epoch: int
    generation: int
    digest: str
    alive: bool
    observed_at: float
    duration_ms: float = 0.0
    changed: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, False))
    peers: dict[str, PeerReport] | None = None
    sessions: dict[str, SessionReport] | None = None
    hits: dict[str, int] | None = None
    # A text is a sentence from an agent of the previous release.
    drift: Sequence[Finding | str] | None = None
    families: list[str] | None = None
    upstreams: dict[str, bool] | None = None
    # If `since` is the stamp of an earlier report, this one has only the peers and sessions that differ from it, and
    # the peer ids of sessions that have ended.
    stamp: str = ""
    since: str = ""
    ended: list[str] = field(default_factory=list)
    # The version of the agent ("" if unknown), and the schema of specs that it supports.
    agent: str = ""
    schema: int = 0
    # What the agent can do beyond the first release, by name.
    features: tuple[str, ...] = ()
    # The trial of the hub's settings, if its spec has one.
    trial: TrialReport | None = None
    # When this process read it (Unix time, by its own clock).
    read_at: float = field(default_factory=time.time, compare=False)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        document: dict[str, Any] = {
            "hub": self.hub,
            "epoch": self.epoch,
            "generation": self.generation,
            "digest": self.digest,
            "changed": dict(self.changed),
            "observed_at": self.observed_at,
            "duration_ms": self.duration_ms,
            "alive": self.alive,
        }
        if self.agent:
            document |= {"agent": self.agent, "schema": self.schema, "features": list(self.features)}
        if self.trial is not None:
            document["trial"] = self.trial.document()
        if self.peers is not None:
            document["peers"] = {key: peer.document() for key, peer in self.peers.items()}
        if self.sessions is not None:
            document["sessions"] = {peer_id: session.document() for peer_id, session in self.sessions.items()}
        if self.drift is not None:
            document["drift"] = [found if isinstance(found, str) else found.document() for found in self.drift]
        if self.stamp:
            document |= {"stamp": self.stamp}
        if self.since:
            document |= {"since": self.since, "ended": self.ended}
        plain = {"hits": self.hits, "families": self.families, "upstreams": self.upstreams}
        return document | {name: value for name, value in plain.items() if value is not None}


def parse_report(document: object) -> HubReport:
    """Return the report that `document` describes. It is untrusted: every field is validated and limited in size.

    Raises ReportInvalidError.
    """
    if not isinstance(document, dict):
        raise ReportInvalidError("a report is an object")
    changed = document.get("changed")
    if not isinstance(changed, dict):
        raise ReportInvalidError("changed is an object")
    return HubReport(
        hub=report_values.text(document, "hub", HUB),
        epoch=report_values.count(document.get("epoch"), "epoch"),
        generation=report_values.count(document.get("generation"), "generation"),
        digest=report_values.text(document, "digest", _DIGEST),
        alive=document.get("alive") is True,
        observed_at=report_values.seconds(document.get("observed_at"), "observed_at"),
        duration_ms=report_values.seconds(document.get("duration_ms"), "duration_ms"),
        changed={name: changed.get(name) is True for name in COMPONENTS},
        peers=_peers(document["peers"]) if "peers" in document else None,
        sessions=_sessions(document["sessions"]) if "sessions" in document else None,
        hits=_hits(document["hits"]) if "hits" in document else None,
        drift=_drift(document["drift"]) if "drift" in document else None,
        families=_families(document["families"]) if "families" in document else None,
        upstreams=_upstreams(document["upstreams"]) if "upstreams" in document else None,
        stamp=report_values.text(document, "stamp", STAMP) if "stamp" in document else "",
        since=report_values.text(document, "since", STAMP) if "since" in document else "",
        ended=_ended(document.get("ended", [])),
        agent=report_values.text(document, "agent", _AGENT) if "agent" in document else "",
        schema=report_values.schema(document.get("schema", 0)),
        features=_features(document.get("features", [])),
        trial=parse_trial_report(document["trial"]) if "trial" in document else None,
    )


def _features(document: object) -> tuple[str, ...]:
    if not isinstance(document, list):
        raise ReportInvalidError("features is a list")
    # Features of later releases are kept, too, as far as they are plain words.
    return tuple(word for word in document[:_MOST_FEATURES] if isinstance(word, str) and _FEATURE.fullmatch(word))


def _peers(document: object) -> dict[str, PeerReport]:
    if not isinstance(document, dict) or len(document) > MAXIMUM_PEERS:
        raise ReportInvalidError(f"peers is an object with at most {MAXIMUM_PEERS} entries")
    peers = {}
    for key, value in document.items():
        if not isinstance(key, str) or not WIREGUARD_KEY.fullmatch(key) or not isinstance(value, dict):
            raise ReportInvalidError("peers has a peer under each public key")
        peers[key] = PeerReport(
            report_values.endpoint(value.get("endpoint")),
            report_values.count(value.get("latest_handshake"), "latest_handshake"),
            report_values.count(value.get("received_bytes"), "received_bytes"),
            report_values.count(value.get("sent_bytes"), "sent_bytes"),
        )
    return peers


def _sessions(document: object) -> dict[str, SessionReport]:
    if not isinstance(document, dict) or len(document) > MAXIMUM_PEERS:
        raise ReportInvalidError(f"sessions is an object with at most {MAXIMUM_PEERS} entries")
    sessions = {}
    for peer_id, value in document.items():
        if not isinstance(peer_id, str) or not UUID.fullmatch(peer_id) or not isinstance(value, dict):
            raise ReportInvalidError("sessions has a session under each peer's id")
        listener = value.get("listener")
        if listener not in _LISTENERS:
            raise ReportInvalidError("a listener is udp, tcp or compat")
        sessions[peer_id] = SessionReport(
            report_values.endpoint(value.get("endpoint")),
            report_values.count(value.get("connected_since"), "connected_since"),
            report_values.count(value.get("received_bytes"), "received_bytes"),
            report_values.count(value.get("sent_bytes"), "sent_bytes"),
            str(listener),
            value.get("push_outdated") is True,
        )
    return sessions


def _ended(document: object) -> list[str]:
    if not isinstance(document, list) or len(document) > MAXIMUM_PEERS:
        raise ReportInvalidError(f"ended is a list with at most {MAXIMUM_PEERS} entries")
    if not all(isinstance(peer_id, str) and UUID.fullmatch(peer_id) for peer_id in document):
        raise ReportInvalidError("ended has the ids of peers")
    return [*document]


def _hits(document: object) -> dict[str, int]:
    if not isinstance(document, dict) or len(document) > _MAXIMUM_RULES:
        raise ReportInvalidError(f"hits is an object with at most {_MAXIMUM_RULES} entries")
    if not all(isinstance(rule_id, str) and UUID.fullmatch(rule_id) for rule_id in document):
        raise ReportInvalidError("hits has a number under each rule's id")
    return {str(rule_id): report_values.count(value, "hits") for rule_id, value in document.items()}


def _drift(document: object) -> list[Finding | str]:
    if not isinstance(document, list):
        raise ReportInvalidError("drift is a list")
    return [_drifted(found) for found in document[:_MOST_DRIFT]]


def _drifted(document: object) -> Finding | str:
    if isinstance(document, str):
        # Agents of the previous release sent sentences, which are shown unchanged, one line each.
        return "".join(sign for sign in document if sign.isprintable())[:_LONGEST_SENTENCE]
    try:
        return parse_finding(document)
    except FindingInvalidError as error:
        raise ReportInvalidError(str(error)) from error


def _families(document: object) -> list[str]:
    if not isinstance(document, list):
        raise ReportInvalidError("families is a list")
    return [family for family in FAMILIES if family in document]


def _upstreams(document: object) -> dict[str, bool]:
    if not isinstance(document, dict) or len(document) > _MOST_UPSTREAMS:
        raise ReportInvalidError(f"upstreams is an object with at most {_MOST_UPSTREAMS} entries")
    if not all(isinstance(server, str) and _SERVER.fullmatch(server) for server in document):
        raise ReportInvalidError("upstreams has an answer under each server's address")
    return {server: answers is True for server, answers in document.items()}
