"""The words of what rows keep (portal.told) about mail that was not sent, and about providers that sign in nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.told import Words, in_words


def _given_up(kept: Mapping[str, Any]) -> str:
    return f"{in_words(kept['why'])} {_('Mail another one, or ask the operator of this portal.')}"


def _is_deactivated(kept: Mapping[str, Any]) -> str:
    sentence = _("%(membership)s is deactivated.") % {"membership": kept["membership"]}
    return f"{sentence} {_('Activate them first.')}"


def _invitation_is_over(kept: Mapping[str, Any]) -> str:
    sentence = _("The invitation of %(membership)s has ended.") % {"membership": kept["membership"]}
    return f"{sentence} {_('Remove them, then invite them again.')}"


def _has_own_password(kept: Mapping[str, Any]) -> str:
    sentence = _("%(membership)s signs in with a password of their own.") % {"membership": kept["membership"]}
    advice = _("Their account is also used outside this organization, so its password cannot be set from here.")
    return f"{sentence} {advice}"


def _endpoint(kept: Mapping[str, Any]) -> str:
    return f"{kept['name']}: {in_words(kept['why'])}"


def _sentence(kept: Mapping[str, Any]) -> str:
    text = str(kept["text"])
    return _(text) if text else ""


def _about(name: str, words: Promise) -> Words:
    return lambda kept: str(words) % kept[name]


FAULTS: Final[dict[str, Words]] = {
    "mail-not-taken": gettext_lazy("The mail server did not take it."),
    "mail-failed": gettext_lazy("The mail server did not take it (%(error)s)."),
    "mail-retried": gettext_lazy(
        "The mail server did not take it (%(error)s). It is tried again every minute, for an hour."
    ),
    "mail-slow": gettext_lazy("The mail server did not take it: it kept the portal waiting for too long."),
    "mail-refused": gettext_lazy(
        "The mail server did not take it (%(answer)s). Check the address, then mail another one."
    ),
    "mail-given-up": _given_up,
    "mail-too-many": gettext_lazy("This address was sent many links in the last hour. Send another one in an hour."),
    "mail-device-removed": gettext_lazy("The device was removed meanwhile."),
    "mail-no-end": gettext_lazy("The peer has no end to remind of any more."),
    "mail-link-ended": gettext_lazy("The link has ended meanwhile."),
    "mail-cancelled": gettext_lazy("The operator of this portal cancelled it."),
    "link-deactivated": _is_deactivated,
    "link-invitation-over": _invitation_is_over,
    "link-own-password": _has_own_password,
    # Of providers that sign people in, and of what the portal reads of them.
    "provider-other-issuer": _about(
        "issuer", gettext_lazy("The provider calls itself “%s”. Enter exactly that as the issuer.")
    ),
    # An English sentence that a fault was raised with.
    "sentence": _sentence,
    "provider-no-code-flow": gettext_lazy("The provider does not offer the authorization code flow."),
    "provider-no-algorithm": gettext_lazy("The provider signs with no algorithm of a public key, such as RS256."),
    "provider-no-secret": gettext_lazy("The provider does not accept a client secret."),
    "provider-refused-client": _about(
        "said", gettext_lazy("The provider did not accept client id, secret or code (%s).")
    ),
    "provider-token-expired": gettext_lazy("The provider's token has expired. Check the clocks."),
    "provider-token-issuer": gettext_lazy("The token is of another issuer."),
    "provider-token-client": gettext_lazy("The token is for another client."),
    "provider-token-signature": gettext_lazy("The provider's token is not signed by one of its keys."),
    "provider-token-nonce": gettext_lazy("The token belongs to another sign-in."),
    "provider-token-nobody": gettext_lazy("The token names nobody."),
    "provider-no-userinfo": gettext_lazy("The provider's userinfo endpoint did not answer for this person."),
    "provider-not-found": gettext_lazy("%(url)s was not found (%(status)s)."),
    "provider-no-endpoint": _about("name", gettext_lazy("The provider's discovery document has no “%s”.")),
    "provider-endpoint": _endpoint,
    "fetch-busy": gettext_lazy("The portal is reading from other providers. Try again in a few seconds."),
    "fetch-busy-here": gettext_lazy("The portal is reading from this provider. Try again in a few seconds."),
    "fetch-slow": _about("host", gettext_lazy("%s did not answer in time.")),
    "fetch-no-certificate": _about("host", gettext_lazy("%s did not answer as a web server with a valid certificate.")),
    "fetch-no-host": _about("host", gettext_lazy("There is no host called %s.")),
    "fetch-unreachable": _about("host", gettext_lazy("%s cannot be reached.")),
    "fetch-redirected": _about("host", gettext_lazy("%s redirects elsewhere. Enter the address to which it leads.")),
    "fetch-too-long": _about("host", gettext_lazy("The answer of %s is too long.")),
    "fetch-no-json": gettext_lazy("%(host)s answered %(status)s, and not with JSON."),
    "address-invalid": gettext_lazy("This is not a web address."),
    "address-plain": gettext_lazy("Enter an address that begins with https://."),
    "address-with-user": gettext_lazy("Enter the address without a user name, a password or “#”."),
    "fetch-private": gettext_lazy(
        "This address belongs to a private network. The portal reads only from public addresses."
    ),
}
