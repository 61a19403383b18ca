"""The portal's URLs. Those of instances, peers and sites are in vpn.urls."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from portal.views import (
    account,
    activity,
    group,
    health,
    language,
    organization,
    own_provider,
    own_session,
    passkey,
    people,
    person,
    person_factor,
    person_link,
    provider,
    provider_answer,
    provider_sign_in,
    second_factor,
    sign_in_link,
)

# allauth looks some of these up by its own names.
_OWN_ACCOUNT = [
    path("", second_factor.own_account, name="mfa_index"),
    path("second-factor/", second_factor.authenticate, name="mfa_authenticate"),
    path("confirm/password/", second_factor.confirm_password, name="account_reauthenticate"),
    path("confirm/code/", second_factor.confirm_code, name="mfa_reauthenticate"),
    path("language/", language.language_choose, name="language_choose"),
    path("sessions/end/", own_session.sessions_end, name="sessions_end"),
    path("sessions/<uuid:pk>/end/", own_session.session_end, name="session_end"),
    path("own-means/", own_provider.own_means, name="own_means"),
    path("provider/confirm/", provider_sign_in.provider_confirm, name="provider_confirm"),
    path("provider/return/<uuid:pk>/", provider_sign_in.provider_return, name="provider_return"),
    path("provider/saml/<uuid:pk>/", provider_answer.provider_answer, name="provider_answer"),
    path("provider/saml/<uuid:pk>/metadata/", provider_answer.provider_metadata, name="provider_metadata"),
    path("provider/<uuid:pk>/connect/", own_provider.provider_connect, name="provider_connect"),
    path("provider/<uuid:pk>/disconnect/", own_provider.provider_disconnect, name="provider_disconnect"),
    path("confirm/passkey/", passkey.confirm, name="mfa_reauthenticate_webauthn"),
    path("passkeys/sign-in/", passkey.sign_in, name="mfa_login_webauthn"),
    path("passkeys/add/", passkey.add, name="mfa_add_webauthn"),
    path("passkeys/<int:pk>/", passkey.rename, name="mfa_edit_webauthn"),
    path("passkeys/<int:pk>/remove/", passkey.remove, name="mfa_remove_webauthn"),
    path("app/", second_factor.add_app, name="mfa_activate_totp"),
    path("app/remove/", second_factor.remove_app, name="mfa_deactivate_totp"),
    path("recovery-codes/", second_factor.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("recovery-codes/new/", second_factor.new_recovery_codes, name="mfa_generate_recovery_codes"),
]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("accounts/login/", account.login, name="account_login"),
    path("accounts/logout/", account.logout, name="account_logout"),
    path("accounts/signup/", account.signup, name="account_signup"),
    path("accounts/nowhere/", account.nowhere, name="account_nowhere"),
    path("accounts/inactive/", account.inactive, name="account_inactive"),
    path("accounts/password/change/", account.password_change, name="account_change_password"),
    path("accounts/password/set/", account.password_set, name="account_set_password"),
    path("accounts/password/reset/", account.password_reset, name="account_reset_password"),
    path("accounts/password/reset/done/", account.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("accounts/", include(_OWN_ACCOUNT)),
    path("accounts/link/", sign_in_link.account_link_use, name="account_link_use"),
    path("accounts/link/<str:token>/", sign_in_link.account_link, name="account_link"),
    path("activity/", activity.activity, name="activity"),
    path("activity/export/", activity.activity_export, name="activity_export"),
    path("organization/", organization.organization_switch, name="organization_switch"),
    path("settings/", organization.organization_settings, name="organization_settings"),
    path("settings/sign-in/", provider.provider_settings, name="provider_settings"),
    path("settings/sign-in/try/", provider.provider_try, name="provider_try"),
    path("settings/sign-in/switch/", provider.provider_switch, name="provider_switch"),
    path("settings/sign-in/delete/", provider.provider_delete, name="provider_delete"),
    path("sign-in/", provider_sign_in.sign_in_ways, name="sign_in_ways"),
    path("sign-in/<slug:slug>/", provider_sign_in.sign_in_organization, name="sign_in_organization"),
    path("sign-in/<slug:slug>/go/", provider_sign_in.sign_in_begin, name="sign_in_begin"),
    path("people/", people.people, name="people"),
    path("people/new/", people.person_new, name="person_new"),
    path("people/groups/", group.groups, name="groups"),
    path("people/groups/new/", group.group_new, name="group_new"),
    path("people/groups/<uuid:pk>/", group.group, name="group"),
    path("people/groups/<uuid:pk>/delete/", group.group_delete, name="group_delete"),
    path("people/<uuid:pk>/", person.person, name="person"),
    path("people/<uuid:pk>/link/", person_link.person_link, name="person_link"),
    path("people/<uuid:pk>/second-factor/", person_factor.person_factor, name="person_factor"),
    path("people/<uuid:pk>/remove/", person.person_remove, name="person_remove"),
    path("admin/", admin.site.urls),
    path("", include("vpn.urls")),
]

handler500 = "portal.views.failure.failed"
handler429 = "portal.views.failure.too_often"  # required by allauth
