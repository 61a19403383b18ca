"""Settings of signing in: its limits, and the forms for second factors."""

from __future__ import annotations

from typing import Final

# Failed attempts in a period; portal/sign_in/guessing.py says what each limit counts. The limit of the page is off: it
# would count a known device together with strangers of its network.
RATE_LIMITS: Final = {
    "login": None,
    # Passkeys as a second step; nobody can guess one.
    "login_failed": "20/m/key",
    "sign_in_device": "5/5m/key",
    "sign_in_network": "10/m/key,60/h/key",
    "sign_in_account_and_network": "5/5m/key",
    "sign_in_account": "50/h/key",
    # Of a million codes, three are right at any time: 30 attempts a day find one in 30 years.
    "code_device": "5/5m/key,30/d/key",
    "code_account": "5/5m/key,30/d/key",
    "reauthenticate": "10/10m/user,100/d/user",
    "change_password": "10/10m/user",
    "end_session": "30/m/user",
    # By network, which may be that of a whole office. Each may ask an organization's provider.
    "provider_begin": "60/m/key,1000/h/key",
    "provider_return": "60/m/key,1000/h/key",
    "provider_answer": "60/m/key,1000/h/key",
    "provider_organization": "240/m/key",
    "provider_confirm": "20/m/key",
}
# By address: nobody can guess a passkey, but each challenge makes a session.
FACTOR_RATE_LIMITS: Final = {"webauthn_login": "20/m/ip", "webauthn_challenge": "20/m/ip,200/h/ip"}
FACTOR_FORMS: Final = {
    "authenticate": "portal.sign_in.codes.CodeForm",
    "reauthenticate": "portal.sign_in.codes.ConfirmCodeForm",
    "activate_totp": "portal.sign_in.codes.AddAppForm",
    "add_webauthn": "portal.sign_in.passkeys.AddPasskeyForm",
    "authenticate_webauthn": "portal.sign_in.passkeys.StepPasskeyForm",
    "login_webauthn": "portal.sign_in.passkeys.SignInPasskeyForm",
    "reauthenticate_webauthn": "portal.sign_in.passkeys.ConfirmPasskeyForm",
    "edit_webauthn": "portal.sign_in.passkeys.NamePasskeyForm",
}
