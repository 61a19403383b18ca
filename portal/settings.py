"""Every setting in one file; every value from the environment, typed; a wrong one fails loudly.

`portal.configuration` makes those that take more than a line. The table of variables is in the README.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from portal.configuration import sign_in
from portal.configuration.database import read_database
from portal.configuration.days import read_days
from portal.configuration.keys import read_secret_keys, signing_key
from portal.configuration.logs import logging_to_streams
from portal.configuration.networks import parse_networks
from portal.running.address import parse_hub_addresses
from portal.running.dns_url import parse_dns_resolver, parse_dns_url
from portal.running.public_url import public_url_fault

# Lets generic classes of Django take their type arguments at run time.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Where things are ----------------------------------------------------------------------------------------------------

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).absolute()
# The same, as the operator knows it: `make up` may bind it elsewhere for a process without root's rights.
OPERATORS_DATA_DIR = Path(env.str("VPN_PORTAL_RUN", default=str(DATA_DIR)))
PORT = env.int("PORT", default=8000)
BIND = env.str("BIND", default="127.0.0.1")
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://localhost:{PORT}").rstrip("/")
if _url_fault := public_url_fault(PUBLIC_URL):
    raise ImproperlyConfigured(_url_fault)
_public = urlsplit(PUBLIC_URL)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])

# Secrets -------------------------------------------------------------------------------------------------------------

SECRET_KEYS = read_secret_keys(env, DATA_DIR)
# Read again when it changes (portal/key_file.py), unless the variable holds the keys.
SECRET_KEYS_FILE = None if any(env.list("SECRET_KEYS", default=[])) else DATA_DIR / "keys" / "secret_keys"
SECRET_KEY = signing_key(SECRET_KEYS[0])
SECRET_KEY_FALLBACKS = [signing_key(key) for key in SECRET_KEYS[1:]]

# The product ---------------------------------------------------------------------------------------------------------

_LEAST_LOST_SECONDS = 20
VPN_DOMAIN = env.str("VPN_DOMAIN", default="vpn.example.net").lower().strip(".")
try:
    HUB_ADDRESSES = parse_hub_addresses(env.str("HUB_ADDRESS", default=""))
    # Parsed, so that no setting is a text with the key's secret in it.
    DNS_PUBLISHER = parse_dns_url(env.str("DNS_URL", default=""), VPN_DOMAIN)
    DNS_RESOLVER = parse_dns_resolver(env.str("DNS_RESOLVER", default=""))
except ValueError as _fault:
    raise ImproperlyConfigured(str(_fault)) from None
HUB_HOST_NETNS = env.str("HUB_HOST_NETNS", default="")
# A server that does not answer for so long is lost, unless its region has a time of its own (docs/servers.md).
SERVER_LOST_SECONDS = env.int("SERVER_LOST_SECONDS", default=300)
if SERVER_LOST_SECONDS < _LEAST_LOST_SECONDS:
    raise ImproperlyConfigured(f"SERVER_LOST_SECONDS is {SERVER_LOST_SECONDS}; choose at least {_LEAST_LOST_SECONDS}")
# How often a router that enrolled asks for its configuration; cron knows no shorter time (docs/routers.md).
ROUTER_CHECK_IN_SECONDS = env.int("ROUTER_CHECK_IN_SECONDS", default=60)
if not 60 <= ROUTER_CHECK_IN_SECONDS <= 86_400:
    raise ImproperlyConfigured(f"ROUTER_CHECK_IN_SECONDS is {ROUTER_CHECK_IN_SECONDS}; choose 60 to 86400")
HUBS_AVAILABLE = env.bool("HUBS_AVAILABLE", default=True)
HUB_STATE_DIR = DATA_DIR / "hub"
POOL_BASE = env.str("POOL_BASE", default="100.64.0.0/10")

# For how long ended rows are kept (vpn/jobs/tidy.py). The API tells the traffic of the present month.
ACTIVITY_DAYS = read_days(env, "ACTIVITY_DAYS", default=400, least=1)
TRAFFIC_DAYS = read_days(env, "TRAFFIC_DAYS", default=400, least=31)
# Of the portal's own journal, and of organizations that set nothing else.
JOURNAL_DAYS = read_days(env, "JOURNAL_DAYS", default=400, least=30)
# Of organizations that set nothing else.
CONNECTION_DAYS = read_days(env, "CONNECTION_DAYS", default=180, least=1)
REVISION_DAYS = read_days(env, "REVISION_DAYS", default=400, least=30)
MAIL_DAYS = read_days(env, "MAIL_DAYS", default=30, least=1)

# Private networks from which sign-in providers of organizations may be read, and without TLS; none unless set.
try:
    SIGN_IN_PROVIDER_NETWORKS = parse_networks(env.str("SIGN_IN_PROVIDER_NETWORKS", default=""))
except ValueError as _fault:
    raise ImproperlyConfigured(f"SIGN_IN_PROVIDER_NETWORKS: {_fault}") from None
ALLOW_SIGNUP = env.bool("ALLOW_SIGNUP", default=False)
ADMIN_EMAIL = env.str("ADMIN_EMAIL", default="admin@localhost")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")

# Django --------------------------------------------------------------------------------------------------------------

DEBUG = False
ALLOWED_HOSTS = sorted({"localhost", "127.0.0.1", "[::1]", _public.hostname})
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
AUTH_USER_MODEL = "portal.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_I18N = True
# Those that are complete (docs/translation.md), each by its own name.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"
APPEND_SLASH = True

INSTALLED_APPS = [
    "portal",
    "vpn",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "django_rq",
    "ninja",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "portal.web.proxies.TrustedProxyMiddleware",
    "portal.audit.origin.OriginMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.web.language.LanguageMiddleware",
    "portal.sign_in.seen.SeenMiddleware",
    "portal.web.page_limit.PageLimitMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "portal.web.zone.ZoneMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.audit.log.AuditMiddleware",
    "portal.access.AccessMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"heroicons": "portal.web.icons"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.web.navigation.navigation",
            ],
        },
    },
]

# Database ------------------------------------------------------------------------------------------------------------

# Seconds that a statement waits for a lock; then the page says that the portal is busy.
DATABASE_WAIT = 20
DATABASES = {"default": read_database(env, DATA_DIR, wait=DATABASE_WAIT)}

# Redis, jobs ---------------------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default=f"unix://{DATA_DIR / 'redis' / 'redis.sock'}")
CACHES = {"default": {"BACKEND": "portal.web.cache.TolerantRedisCache", "LOCATION": REDIS_URL}}
JOB_TIMEOUT = 30
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": JOB_TIMEOUT, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in (
        *("default", "urgent", "apply", "destroy", "provision", "knock"),
        *("observe", "plan", "mail", "names"),
    )
}
RQ = {"JOB_CLASS": "vpn.doorbell.PortalJob", "QUEUE_CLASS": "vpn.doorbell.PortalQueue"}

# The regions whose servers the workers of this machine serve; all if it names none.
WORKER_REGIONS = tuple(filter(None, (code.strip() for code in env.list("WORKER_REGIONS", default=[]))))

# Runs the worker or the schedule of this name (portal/serving/family.py).
RUN_PROCESS = "vpn.jobs.runtime.processes.run_process"

# Accounts ------------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["portal.sign_in.adapter.AddressBackend"]
# An address has one proven account and may have others: the backend tries the password on each.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "portal.sign_in.guessable.GuessablePasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
PASSWORD_RESET_TIMEOUT = 3 * 24 * 3600
ACCOUNT_ADAPTER = "portal.sign_in.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "portal.forms.account.LoginForm",
    "signup": "portal.forms.account.SignupForm",
    "change_password": "portal.forms.account.ChangePasswordForm",
    "set_password": "portal.forms.account.SetPasswordForm",
    "reset_password": "portal.forms.account.ResetPasswordForm",
    "reset_password_from_key": "portal.forms.account.ResetPasswordKeyForm",
    "reauthenticate": "portal.forms.account.ConfirmPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = sign_in.RATE_LIMITS
# Seconds for which a password or code that was entered lets someone change their factors.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
MFA_ADAPTER = "portal.sign_in.factor_adapter.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = sign_in.FACTOR_FORMS
MFA_RATE_LIMITS = sign_in.FACTOR_RATE_LIMITS
# allauth's own table of proven addresses is not used.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Codes of the step before and after are accepted, because clocks differ.
MFA_TOTP_TOLERANCE = 1
# Pages and fragments for one account in a minute: forty tabs that refresh every two seconds.
PAGES_A_MINUTE = 1200
# Called by /healthz, by name: each returns "ok" or a sentence.
HEALTH_CHECKS = {
    "keys": "portal.seals.health",
    "worker": "vpn.jobs.runtime.heartbeat.worker_health",
    "schedule": "vpn.jobs.runtime.heartbeat.schedule_health",
    "ticks": "vpn.jobs.tick.schedule_lag",
}
# The health page also shows these; they do not make it fail, so that load balancers keep sending requests.
HEALTH_NOTES = {"hubs": "vpn.presenters.needs.hubs_health", "mail": "portal.actions.queued_mail.health"}
# It shows these to staff: each returns JSON data.
HEALTH_DETAILS = {"servers": "vpn.presenters.servers.servers_health"}
# Called, by name, when this machine's public address has changed.
SERVER_MOVED = "vpn.actions.instances.server_address.move_server"
PORTAL_PLACED = "vpn.actions.instances.portal_place.place_portal"
# Who writes queued mail of these kinds, by name.
QUEUED_MESSAGES = {
    "lost": "vpn.actions.peers.lost.lost_message",
    "reminder": "vpn.actions.peers.reminder.reminder_message",
    "share": "vpn.actions.profiles.mailed_link.share_message",
}
# Who is told what became of them, by name: called with the mail, and the fault ("" if it was sent).
QUEUED_OUTCOMES = {"share": "vpn.actions.profiles.mailed_link.note_outcome"}
# Counters of what quotas limit, by name.
QUOTA_COUNTERS = ("portal.quotas.COUNTERS", "vpn.quota_use.COUNTERS", "vpn.api.protocol.throttling.COUNTERS")
# Without a mail server nothing is sent: staff read the messages in Django admin and pass them on.
EMAIL_BACKEND = "portal.mail.ShownMail"
EMAIL_CONFIGURED = bool(env.str("EMAIL_URL", default=""))
if EMAIL_CONFIGURED:
    vars().update(env.email_url("EMAIL_URL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = f"VPN portal <vpn@{_public.hostname}>"

# The browser ---------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}
_https = _public.scheme == "https"
# The database keeps a digest of each cookie, and not the cookie.
SESSION_ENGINE = "portal.web.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
# A firewall of 1,000 rules is a form of 7,000 fields.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
SECURE_HSTS_SECONDS = 31536000 if _https else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATICFILES_DIRS: list[Path | tuple[str, Path]] = [BASE_DIR / "static"]
# Draws QR codes in the browser: the distribution's package node-qrcode-generator. Empty where that is not installed.
QR_SCRIPT = ""
if (_qr := Path("/usr/share/nodejs/qrcode-generator/qrcode.js")).is_file():
    QR_SCRIPT = "qrcode-generator/qrcode.js"
    STATICFILES_DIRS.append(("qrcode-generator", _qr.parent))
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.web.static_files.StaticFiles"},
}

LOGGING = logging_to_streams(env.str("LOG_LEVEL", default="INFO"))
