"""Sentences for findings on every page: drift, a step that failed, the last failure of a hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from portal.told import Told, in_words, joined_words, text_in_words
from vpn.choices import NodeState, OperationKind, StepName, StepState
from vpn.models import CloudNode, Instance, Operation, OperationStep, Peer
from vpn.models.operation import listed_parts
from vpn.presenters.findings import drift, failures, refusals
from vpn.wire.finding import Code, Finding, parse_finding
from vpn.wire.parsing import UUID as PEER_ID

Names = Mapping[str, str]  # labels of peers by id
_NO_NAMES: Final[Names] = MappingProxyType({})
# The steps that may wait for a cloud's server.
_ON_SERVER: Final = (StepName.ORDER, StepName.BOOT, StepName.SERVER, StepName.NEW_SERVER)
_LONG: Final = ("certificate", "private_key_sealed", "tls_crypt_key_sealed")


def sentence_of(found: Finding | Told | str, names: Names = _NO_NAMES) -> str:
    """The sentence for a finding. A refusal says what to do; drift does not, as the portal undoes it.

    A sentence as rows keep it (portal.told) is put into words. A text is returned as it is: agents of the release
    before sent sentences.
    """
    if not isinstance(found, Finding):
        return in_words(found)
    code = Code(found.component, found.code)
    words = drift.WORDS.get(code) or refusals.WORDS.get(code) or failures.WORDS.get(code)
    if words is None:
        return _(
            "The agent reports %(code)s of %(component)s, which this portal has no words for: update the portal."
        ) % {
            "code": f"“{found.code}”" + (f" ({found.subject})" if found.subject else ""),
            "component": found.component,
        }
    return str(words) % {"subject": names.get(found.subject, found.subject)}


def told_finding(kept: Mapping[str, Any]) -> str:
    """The words of a finding within a sentence that a row keeps (portal.told)."""
    return sentence_of(parse_finding(kept["finding"]))


def names_in(found: Iterable[Finding | str]) -> Names:
    """The labels of the peers that findings name; one query, none if they name no peer."""
    ids = {one.subject for one in found if isinstance(one, Finding) and PEER_ID.fullmatch(one.subject)}
    if not ids:
        return _NO_NAMES
    peers = Peer.objects.filter(pk__in=map(UUID, ids)).select_related("member__user", "site").defer(*_LONG)
    return {str(peer.pk): peer.label for peer in peers}


def operation_summary(operation: Operation, names: Names = _NO_NAMES) -> str:
    """What an operation carries, in one line."""
    undone = operation.undone
    if operation.told:
        return listed_parts(operation.told)
    if operation.summary or not undone:
        return operation.summary
    first = sentence_of(undone[0], names)
    if len(undone) == 1:
        return _("Undo what was changed on the server: %(first)s") % {"first": first}
    words = _("Undo what was changed on the server: %(first)s And %(more)d more.")
    return words % {"first": first, "more": len(undone) - 1}


def step_message(operation: Operation, step: OperationStep, names: Names = _NO_NAMES) -> str:
    """What a step reports, or why it waits; for an operation that undid drift, also what was undone."""
    if step.state == StepState.RUNNING and step.name in _ON_SERVER and (why := _why_waits(operation)):
        return _("%(why)s The portal tries again by itself.") % {"why": why}
    if step.refusal:
        return sentence_of(parse_finding(step.refusal), names)
    message = joined_words(step.told) if step.told else step.message
    if not message or not operation.findings:
        return message
    undone = " ".join(sentence_of(parse_finding(one), names) for one in operation.findings)
    return f"{message} {_('Undone: %(changes)s') % {'changes': undone}}"


def _why_waits(operation: Operation) -> str:
    """Why the last call for the cloud's server that an operation waits for failed; "" if it did not."""
    is_first = operation.kind == OperationKind.PROVISION
    comes = Q(server__instances=operation.instance_id) if is_first else Q(server__moves__operation=operation)
    going_on = CloudNode.objects.filter(comes, state__in=[NodeState.WANTED, NodeState.BOOTING, NodeState.RUNNING])
    found = going_on.values_list("finding", flat=True).first()
    return sentence_of(parse_finding(found)) if found else ""


def failure_of(instance: Instance) -> str:
    """Why the last apply failed; "" if it did not."""
    if instance.failure and instance.refusal:
        return sentence_of(parse_finding(instance.refusal))
    return text_in_words(instance.failure)
