"""The passphrase of a share link: what its sender tells on another way, so that the link alone opens nothing."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import InvalidInput
from portal.models import Principal
from vpn.actions.profiles.refusals import LinkNotFound, PassphraseWanted
from vpn.models import ProfileLink

LEAST_LENGTH: Final = 6
MOST_LENGTH: Final = 100
# A link ends with the wrong passphrase after the last one, so that nobody can try many.
MOST_WRONG: Final = 5


def passphrase_hash(text: str) -> str:
    """The stored hash of a passphrase; "" for none. Takes a while, so call it outside of transactions.

    Raises InvalidInput.
    """
    text = text.strip()
    if not text:
        return ""
    if not LEAST_LENGTH <= len(text) <= MOST_LENGTH:
        message = _("A passphrase has %(least_length)s to %(most_length)s characters.") % {
            "least_length": LEAST_LENGTH,
            "most_length": MOST_LENGTH,
        }
        raise InvalidInput.in_field("passphrase", message)
    return make_password(text)


def prove_passphrase(link: ProfileLink, passphrase: str, browser_digest: str, *, by: Principal) -> None:
    """Return if the link has no passphrase, or this one. A browser that proved it once need not do it again.

    `browser_digest` is "" for a program. Hashing takes a while, so no transaction is open meanwhile. Raises
    PassphraseWanted, or LinkNotFound after too many wrong ones: then the link has ended.
    """
    known = {link.browser_digest, link.proven_digest} - {""}
    if not link.passphrase_hash or browser_digest in known:
        return
    if not passphrase:
        raise PassphraseWanted
    # Counted first, so that many at once are no more tries.
    rows = ProfileLink.objects.filter(pk=link.pk)
    if not rows.filter(wrong_passphrases__lt=MOST_WRONG).update(wrong_passphrases=F("wrong_passphrases") + 1):
        raise LinkNotFound
    if check_password(passphrase.strip()[:MOST_LENGTH], link.passphrase_hash):
        rows.update(wrong_passphrases=F("wrong_passphrases") - 1, proven_digest=browser_digest)
        return
    with transaction.atomic():
        acted(by, "passphrase refused", link.peer)
        ended, _by_model = rows.filter(wrong_passphrases__gte=MOST_WRONG).delete()
    if ended:
        raise LinkNotFound
    raise PassphraseWanted(is_wrong=True)
