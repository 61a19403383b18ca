"""Users, factors, sessions, organizations, sign-in providers, memberships, API tokens, journals, mail and quotas."""

from portal.models.api_token import ApiToken
from portal.models.browser_session import BrowserSession
from portal.models.factor_secret import FactorSecret
from portal.models.group import Group
from portal.models.journal import JournalEntry
from portal.models.journal_head import JournalHead
from portal.models.mail import Mail
from portal.models.membership import Membership, MembershipState, Role
from portal.models.organization import Organization
from portal.models.principal import Principal, PrincipalKind
from portal.models.queued_mail import MailKind, QueuedMail
from portal.models.quota import Quota
from portal.models.receipt import Cause, Receipt
from portal.models.sign_in_provider import ProviderGroup, ProviderIdentity, ProviderKind, SignInProvider
from portal.models.user import User
from portal.models.write_mark import WriteMark

__all__ = [
    "ApiToken",
    "BrowserSession",
    "Cause",
    "FactorSecret",
    "Group",
    "JournalEntry",
    "JournalHead",
    "Mail",
    "MailKind",
    "Membership",
    "MembershipState",
    "Organization",
    "Principal",
    "PrincipalKind",
    "ProviderGroup",
    "ProviderIdentity",
    "ProviderKind",
    "QueuedMail",
    "Quota",
    "Receipt",
    "Role",
    "SignInProvider",
    "User",
    "WriteMark",
]
