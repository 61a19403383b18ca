"""A notice: a problem in words. What is wrong, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from vpn.models import Instance, ListenerProof
from vpn.needs import Code, Need, PeerFacts, needs_of_all
from vpn.presenters.findings import names_in
from vpn.presenters.needs import around_words, listener_words, name_words, state_words
from vpn.presenters.needs.words import Tone, Words


@dataclass(frozen=True)
class Notice:
    """A problem that needs a person, in words for an admin.

    `title` is a short heading, `message` says what is wrong and what it means, `next_step` what to do. `chip` is the
    word that replaces "Ready" on the hub, "" if the hub itself is well. `since` is when it began, if known.
    """

    code: Code
    title: str
    message: str
    next_step: str
    tone: Tone = "bad"
    chip: str = ""
    since: datetime | None = None

    @property
    def text(self) -> str:
        """What is wrong and what to do, as one text."""
        return " ".join(part for part in (self.message, self.next_step) if part)


WORDS: Final[dict[Code, Callable[[Need], Words]]] = {
    Code.LOST: state_words.lost,
    Code.PROVISIONING_FAILED: state_words.provisioning_failed,
    Code.PROVISIONING_STUCK: state_words.provisioning_stuck,
    Code.DELETION_STUCK: state_words.deletion_stuck,
    Code.AGENT_DIFFERS: state_words.agent_differs,
    Code.APPLY_FAILED: state_words.apply_failed,
    Code.APPLY_STUCK: state_words.apply_stuck,
    Code.HUB_SILENT: state_words.hub_silent,
    Code.HUB_LATE: state_words.hub_late,
    Code.HUB_UNREACHABLE: listener_words.unreachable,
    Code.HUB_UNPROVEN: listener_words.unproven,
    Code.ADDRESS_UNREACHABLE: listener_words.address_unreachable,
    Code.RESOLVER_SILENT: around_words.resolver_silent,
    Code.SITE_SILENT: around_words.sites_silent,
    Code.ROUTE_NOWHERE: around_words.route_nowhere,
    Code.ADDRESS_CHANGED: around_words.address_changed,
    Code.FORMER_SERVER_SILENT: state_words.former_server_silent,
    Code.NAME_UNPUBLISHED: name_words.name_unpublished,
}


def notices_of(instance: Instance, peers: Mapping[UUID, PeerFacts] | None = None) -> list[Notice]:
    """The notices of this hub; empty if all is well. Six queries at most. `peers` as in `needs_of_all`."""
    return notices_of_all([instance], peers)[instance.pk]


def notices_of_all(
    instances: Sequence[Instance],
    peers: Mapping[UUID, PeerFacts] | None = None,
    proofs: Iterable[ListenerProof] | None = None,
) -> dict[UUID, list[Notice]]:
    """`notices_of` by instance, with a constant number of queries. Join what `needs_of_all` reads."""
    needs = needs_of_all(instances, peers=peers, proofs=proofs)
    recurring = (need.facts.recurring for some in needs.values() for need in some if need.facts.recurring)
    names = names_in(found for each in recurring for found in each.found)
    words: dict[Code, Callable[[Need], Words]] = {
        **WORDS,
        Code.DRIFT_RECURRING: partial(around_words.drift_recurring, names=names),
    }
    return {pk: [_notice(need, words[need.code](need)) for need in some] for pk, some in needs.items()}


def _notice(need: Need, words: Words) -> Notice:
    return Notice(need.code, words.title, words.message, words.next_step, words.tone, words.chip, need.since)
