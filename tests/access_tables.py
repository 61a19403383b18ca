"""Who may do what: one row per page and method, and per API call. A new address needs a row here.

The columns are the statuses for each of ROLES. What belongs to another organization is not there (404); what one's own
role is too small for is refused (403), except another member's devices, which are not there either.
"""

from __future__ import annotations

ROLES = ("anonymous", "member", "operator", "auditor", "admin", "stranger", "staff")

PAGES = """
                                  anonymous member operator auditor admin stranger staff

GET  healthz                            503    503     503     503   503      503   503
POST healthz                            405    405     405     405   405      405   405
GET  account_login                      200    302     302     302   302      302   302
POST account_login                      200    302     302     302   302      302   302
GET  account_logout                     302    200     200     200   200      200   200
POST account_logout                     302    302     302     302   302      302   302
GET  account_signup                     404    404     404     404   404      404   404
POST account_signup                     404    404     404     404   404      404   404
GET  account_inactive                   200    200     200     200   200      200   200
POST account_inactive                   405    405     405     405   405      405   405
GET  account_nowhere                    302    200     200     200   200      200   200
POST account_nowhere                    302    405     405     405   405      405   405
GET  account_change_password            302    200     200     200   200      200   200
POST account_change_password            302    200     200     200   200      200   200
GET  account_set_password               302    302     302     302   302      302   302
POST account_set_password               302    302     302     302   302      302   302
GET  mfa_index                          302    200     200     200   200      200   200
POST mfa_index                          302    405     405     405   405      405   405
GET  tokens                             302    200     200     200   200      200   404
POST tokens                             302    405     405     405   405      405   405
GET  token_new                          302    302     302     302   302      302   404
POST token_new                          302    302     302     302   302      302   404
GET  token_revoke                       302    404     404     403   200      404   404
POST token_revoke                       302    404     404     403   302      404   404
GET  organization_tokens                302    403     403     200   200      200   404
POST organization_tokens                302    405     405     405   405      405   405
GET  mfa_authenticate                   302    302     302     302   302      302   302
POST mfa_authenticate                   302    302     302     302   302      302   302
GET  account_reauthenticate             302    200     200     200   200      200   200
POST account_reauthenticate             302    200     200     200   200      200   200
GET  mfa_reauthenticate                 302    302     302     302   302      302   302
POST mfa_reauthenticate                 302    302     302     302   302      302   302
GET  language_choose                    302    405     405     405   405      405   405
POST language_choose                    302    302     302     302   302      302   302
GET  sessions_end                       302    405     405     405   405      405   405
POST sessions_end                       302    302     302     302   302      302   302
GET  session_end                        302    405     405     405   405      405   405
POST session_end                        302    404     404     404   404      404   404
GET  mfa_reauthenticate_webauthn    302    302     302     302   302      302   302
POST mfa_reauthenticate_webauthn    302    302     302     302   302      302   302
GET  mfa_login_webauthn             302    302     302     302   302      302   302
POST mfa_login_webauthn             302    302     302     302   302      302   302
GET  mfa_add_webauthn               302    302     302     302   302      302   302
POST mfa_add_webauthn               302    302     302     302   302      302   302
GET  mfa_edit_webauthn              302    302     302     302   302      302   302
POST mfa_edit_webauthn              302    302     302     302   302      302   302
GET  mfa_remove_webauthn            302    302     302     302   302      302   302
POST mfa_remove_webauthn            302    302     302     302   302      302   302
GET  mfa_activate_totp                  302    302     302     302   302      302   302
POST mfa_activate_totp                  302    302     302     302   302      302   302
GET  mfa_deactivate_totp                302    404     404     404   404      404   404
POST mfa_deactivate_totp                302    404     404     404   404      404   404
GET  mfa_view_recovery_codes            302    404     404     404   404      404   404
POST mfa_view_recovery_codes            302    405     405     405   405      405   405
GET  mfa_generate_recovery_codes        302    302     302     302   302      302   302
POST mfa_generate_recovery_codes        302    302     302     302   302      302   302
GET  account_reset_password             404    404     404     404   404      404   404
POST account_reset_password             404    404     404     404   404      404   404
GET  account_reset_password_done        404    404     404     404   404      404   404
POST account_reset_password_done        404    404     404     404   404      404   404
GET  account_reset_password_from_key    404    404     404     404   404      404   404
POST account_reset_password_from_key    404    404     404     404   404      404   404
GET  account_link                       404    404     404     404   404      404   404
POST account_link                       405    405     405     405   405      405   405
GET  account_link_use                   404    404     404     404   404      404   404
POST account_link_use                   404    404     404     404   404      404   404
GET  own_means                          302    302     302     302   302      302   302
POST own_means                          302    302     302     302   302      302   302
GET  provider_confirm                   404    404     404     404   404      404   404
POST provider_confirm                   404    404     404     404   404      404   404
GET  provider_return                    404    404     404     404   404      404   404
POST provider_return                    405    405     405     405   405      405   405
GET  provider_answer                    405    405     405     405   405      405   405
POST provider_answer                    404    404     404     404   404      404   404
GET  provider_metadata                  404    404     404     404   404      404   404
POST provider_metadata                  405    405     405     405   405      405   405
GET  provider_connect                   302    404     404     404   404      404   404
POST provider_connect                   302    405     405     405   405      405   405
GET  provider_disconnect                302    405     405     405   405      405   405
POST provider_disconnect                302    404     404     404   404      404   404
GET  provider_settings                  302    403     403     200   200      200   404
POST provider_settings                  302    403     403     403   302      200   404
GET  provider_try                       302    403     403     403   302      404   404
POST provider_try                       302    405     405     405   405      405   405
GET  provider_switch                    302    405     405     405   405      405   405
POST provider_switch                    302    403     403     403   302      404   404
GET  provider_delete                    302    403     403     403   200      404   404
POST provider_delete                    302    403     403     403   302      404   404
GET  sign_in_ways                       200    200     200     200   200      200   200
POST sign_in_ways                       405    405     405     405   405      405   405
GET  sign_in_organization               404    404     404     404   404      404   404
POST sign_in_organization               405    405     405     405   405      405   405
GET  sign_in_begin                      404    404     404     404   404      404   404
POST sign_in_begin                      405    405     405     405   405      405   405
GET  organization_switch                302    405     405     405   405      405   405
POST organization_switch                302    302     302     302   302      404   404
GET  organization_settings              302    403     403     200   200      200   404
POST organization_settings              302    403     403     403   302      302   404

GET  activity                           302    403     403     200   200      200   404
POST activity                           302    405     405     405   405      405   405
GET  activity_export                    302    405     405     405   405      405   405
POST activity_export                    302    403     403     200   200      200   404

GET  connections                        302    403     403     200   200      200   404
POST connections                        302    405     405     405   405      405   405
GET  connections_export                 302    405     405     405   405      405   405
POST connections_export                 302    403     403     200   200      200   404

GET  people                             302    403     403     200   200      200   404
POST people                             302    405     405     405   405      405   405
GET  person_new                         302    403     403     403   200      200   404
POST person_new                         302    403     403     403   200      200   404
GET  people_invite                      302    403     403     403   200      200   404
POST people_invite                      302    403     403     403   200      200   404
GET  person                             302    404     404     200   200      404   404
POST person                             302    404     404     403   302      404   404
GET  receipt                            302    403     403     200   200      404   404
POST receipt                            302    405     405     405   405      405   405
GET  person_link                        302    405     405     405   405      405   405
POST person_link                        302    404     404     403   200      404   404
GET  person_factor                      302    404     404     403   302      404   404
POST person_factor                      302    404     404     403   302      404   404
GET  person_remove                      302    404     404     403   200      404   404
POST person_remove                      302    404     404     403   302      404   404
GET  groups                             302    403     403     200   200      200   404
POST groups                             302    405     405     405   405      405   405
GET  group_new                          302    403     403     403   200      200   404
POST group_new                          302    403     403     403   302      302   404
GET  group                              302    403     403     200   200      404   404
POST group                              302    403     403     403   302      404   404
GET  group_delete                       302    403     403     403   200      404   404
POST group_delete                       302    403     403     403   302      404   404

GET  instances                          302    302     200     200   200      200   404
POST instances                          302    405     405     405   405      405   405
GET  instance_new                       302    403     403     403   200      200   404
POST instance_new                       302    403     403     403   302      302   404
GET  instance_hostname_check            302    403     403     403   200      200   404
POST instance_hostname_check            302    405     405     405   405      405   405
GET  instance                           302    403     200     200   200      404   404
POST instance                           302    405     405     405   405      405   405
GET  instance_progress                  302    403     403     200   200      404   404
POST instance_progress                  302    405     405     405   405      405   405
GET  instance_retry                     302    405     405     405   405      405   405
POST instance_retry                     302    403     404     403   302      404   404
GET  instance_routing                   302    403     403     200   200      404   404
POST instance_routing                   302    403     403     403   302      404   404
GET  instance_dns                       302    403     403     200   200      404   404
POST instance_dns                       302    403     403     403   302      404   404
GET  instance_firewall                  302    403     403     200   200      404   404
POST instance_firewall                  302    403     403     403   302      404   404
GET  instance_trial                     302    403     403     302   302      404   404
POST instance_trial                     302    403     403     403   302      404   404
GET  instance_name_check                302    405     405     405   405      405   405
POST instance_name_check                302    403     403     403   302      404   404
GET  instance_settings                  302    403     403     200   200      404   404
POST instance_settings                  302    403     403     403   302      404   404
GET  instance_activity                  302    403     403     200   200      404   404
POST instance_activity                  302    405     405     405   405      405   405
GET  instance_move                      302    403     403     403   200      404   404
POST instance_move                      302    403     403     403   302      404   404
GET  instance_rebuild                   302    403     403     403   200      404   404
POST instance_rebuild                   302    403     403     403   302      404   404
GET  instance_cancel                    302    405     405     405   405      405   405
POST instance_cancel                    302    403     404     403   302      404   404
GET  instance_forwarding_end            302    405     405     405   405      405   405
POST instance_forwarding_end            302    403     403     403   302      404   404
GET  instance_revisions                 302    403     403     200   200      404   404
POST instance_revisions                 302    405     405     405   405      405   405
GET  instance_comparison                302    403     403     200   200      404   404
POST instance_comparison                302    405     405     405   405      405   405
GET  revision_return                    302    403     403     403   200      404   404
POST revision_return                    302    403     403     403   302      404   404
GET  plan_mail                          302    403     403     403   200      404   404
POST plan_mail                          302    403     403     403   302      404   404
GET  instance_delete                    302    403     403     403   200      404   404
POST instance_delete                    302    403     403     403   302      404   404

GET  client_peer_new                    302    403     200     403   200      404   404
POST client_peer_new                    302    403     302     403   302      404   404
GET  site_peer_new                      302    403     200     403   200      404   404
POST site_peer_new                      302    403     302     403   302      404   404
GET  peer                               302    200     200     200   200      404   404
POST peer                               302    405     405     405   405      405   405
GET  peer_profile                       302    302     302     302   302      404   404
POST peer_profile                       302    200     200     403   200      404   404
GET  peer_key                           302    200     200     403   200      404   404
POST peer_key                           302    422     422     403   422      404   404
GET  peer_link                          302    302     302     302   302      404   404
POST peer_link                          302    200     200     403   200      404   404
GET  peer_link_mail                     302    302     302     403   302      404   404
POST peer_link_mail                     302    302     302     403   302      404   404
GET  peer_link_end                      302    405     405     405   405      405   405
POST peer_link_end                      302    302     302     403   302      404   404
GET  shared_profile                     404    404     404     404   404      404   404
POST shared_profile                     404    404     404     404   404      404   404
GET  import_profile                     404    404     404     404   404      404   404
POST import_profile                     405    405     405     405   405      405   405
GET  peer_edit                          302    403     200     403   200      404   404
POST peer_edit                          302    403     302     403   302      404   404
GET  peer_disable                       302    403     200     403   200      404   404
POST peer_disable                       302    403     302     403   302      404   404
GET  peer_enable                        302    403     200     403   200      404   404
POST peer_enable                        302    403     302     403   302      404   404
GET  peer_rotate                        302    200     200     403   200      404   404
POST peer_rotate                        302    302     302     403   302      404   404
GET  peer_rename                        302    200     200     403   200      404   404
POST peer_rename                        302    302     302     403   302      404   404
GET  peer_enrol                        302    403    404    403    404    404    404
POST peer_enrol                        302    403    404    403    404    404    404
GET  peer_router_subnets               302    405    405    405    405    405    405
POST peer_router_subnets               302    403    404    403    404    404    404
GET  peer_router_retry                 302    405    405    405    405    405    405
POST peer_router_retry                 302    403    404    403    404    404    404
GET  peer_router_revoke                302    403    404    403    404    404    404
POST peer_router_revoke                302    403    404    403    404    404    404
GET  peer_lost                          302    200     200     403   200      404   404
POST peer_lost                          302    302     302     403   302      404   404
GET  peer_delete                        302    200     200     403   200      404   404
POST peer_delete                        302    302     302     403   302      404   404

GET  sites                              302    403     403     200   200      200   404
POST sites                              302    405     405     405   405      405   405
GET  site_new                           302    403     403     403   200      200   404
POST site_new                           302    403     403     403   302      302   404
GET  site                               302    403     403     200   200      404   404
POST site                               302    403     403     403   302      404   404
GET  site_delete                        302    403     403     403   200      404   404
POST site_delete                        302    403     403     403   302      404   404
GET  my                                 302    200     200     200   200      200   404
POST my                                 302    405     405     405   405      405   405
GET  my_device_new                      302    200     200     200   200      404   404
POST my_device_new                      302    302     302     302   302      404   404
GET  my_connections                     302    200     200     200   200      200   404
POST my_connections                     302    405     405     405   405      405   405
GET  which_profile                      302    200     200     200   200      200   404
POST which_profile                      302    200     200     200   200      200   404

GET  scim_configuration                 401    401     401     401   401      401   401
POST scim_configuration                 401    401     401     401   401      401   401
GET  scim_types                         401    401     401     401   401      401   401
POST scim_types                         401    401     401     401   401      401   401
GET  scim_type                          401    401     401     401   401      401   401
POST scim_type                          401    401     401     401   401      401   401
GET  scim_schemas                       401    401     401     401   401      401   401
POST scim_schemas                       401    401     401     401   401      401   401
GET  scim_schema                        401    401     401     401   401      401   401
POST scim_schema                        401    401     401     401   401      401   401
GET  scim_users                         401    401     401     401   401      401   401
POST scim_users                         401    401     401     401   401      401   401
GET  scim_user                          401    401     401     401   401      401   401
POST scim_user                          401    401     401     401   401      401   401
GET  scim_groups                        401    401     401     401   401      401   401
POST scim_groups                        401    401     401     401   401      401   401
GET  scim_group                         401    401     401     401   401      401   401
POST scim_group                         401    401     401     401   401      401   401
GET  scim_me                            401    401     401     401   401      401   401
POST scim_me                            401    401     401     401   401      401   401
GET  scim_bulk                          401    401     401     401   401      401   401
POST scim_bulk                          401    401     401     401   401      401   401
GET  scim_search                        401    401     401     401   401      401   401
POST scim_search                        401    401     401     401   401      401   401
GET  scim_nothing_here                  401    401     401     401   401      401   401
POST scim_nothing_here                  401    401     401     401   401      401   401

GET  api:openapi-json                   200    200     200     200   200      200   200
GET  api:openapi-view                   200    200     200     200   200      200   200
GET  api-nothing-here                   404    404     404     404   404      404   404
POST api-nothing-here                   404    404     404     404   404      404   404
"""

# The same pages, for a device that is not the member's own.
PAGES_OF_ANOTHERS_PEER = """
                                  anonymous member operator auditor admin stranger staff

GET  peer                               302    404     200     200   200      404   404
GET  peer_profile                       302    404     302     302   302      404   404
POST peer_profile                       302    404     200     403   200      404   404
GET  peer_key                           302    404     200     403   200      404   404
POST peer_key                           302    404     422     403   422      404   404
GET  peer_link                          302    404     302     302   302      404   404
POST peer_link                          302    404     200     403   200      404   404
GET  peer_link_mail                     302    404     302     403   302      404   404
POST peer_link_mail                     302    404     302     403   302      404   404
GET  peer_link_end                      302    405     405     405   405      405   405
POST peer_link_end                      302    404     302     403   302      404   404
GET  peer_edit                          302    404     200     403   200      404   404
POST peer_edit                          302    404     302     403   302      404   404
GET  peer_disable                       302    404     200     403   200      404   404
POST peer_disable                       302    404     302     403   302      404   404
GET  peer_enable                        302    404     200     403   200      404   404
POST peer_enable                        302    404     302     403   302      404   404
GET  peer_rotate                        302    404     200     403   200      404   404
POST peer_rotate                        302    404     302     403   302      404   404
GET  peer_rename                        302    404     200     403   200      404   404
POST peer_rename                        302    404     302     403   302      404   404
GET  peer_enrol                        302    404    404    403    404    404    404
POST peer_enrol                        302    404    404    403    404    404    404
GET  peer_router_subnets               302    405    405    405    405    405    405
POST peer_router_subnets               302    404    404    403    404    404    404
GET  peer_router_retry                 302    405    405    405    405    405    405
POST peer_router_retry                 302    404    404    403    404    404    404
GET  peer_router_revoke                302    404    404    403    404    404    404
POST peer_router_revoke                302    404    404    403    404    404    404
GET  peer_lost                          302    404     200     403   200      404   404
POST peer_lost                          302    404     302     403   302      404   404
GET  peer_delete                        302    404     200     403   200      404   404
POST peer_delete                        302    404     302     403   302      404   404
"""

# Paths below /api/v1/vpn; each role calls with a token. Staff belong to no organization, so that they have none: they
# send what a browser would, a cookie.
CALLS = """
                                        anonymous member operator auditor admin stranger staff

GET    /servers/regions                       401    200     403     200   200      200   401
GET    /instances                             401    403     403     200   200      200   401
POST   /instances                             401    403     403     403   201      201   401
GET    /instances/{instance_id}               401    403     403     200   200      404   401
PUT    /instances/{instance_id}               401    403     403     403   200      404   401
DELETE /instances/{instance_id}               401    403     403     403   202      404   401
POST   /instances/{instance_id}/retry         401    403     403     403   202      404   401
POST   /instances/{instance_id}/confirm       401    403     403     403   409      404   401
POST   /instances/{instance_id}/return        401    403     403     403   409      404   401
POST   /instances/{instance_id}/move          401    403     403     403   202      404   401
POST   /instances/{instance_id}/rebuild       401    403     403     403   202      404   401
POST   /instances/{instance_id}/cancel        401    403     403     403   202      404   401
GET    /instances/{instance_id}/operations    401    403     403     200   200      404   401
GET    /instances/{instance_id}/bandwidth     401    403     403     200   200      404   401
GET    /instances/{instance_id}/revisions     401    403     403     200   200      404   401
GET    /instances/{instance_id}/revisions/{number}            401 403 403 200 200 404 401
GET    /instances/{instance_id}/revisions/{number}/difference 401 403 403 200 200 404 401
POST   /instances/{instance_id}/revisions/{number}/return     401 403 403 403 200 404 401
GET    /instances/{instance_id}/peers         401    403     200     200   200      404   401
POST   /instances/{instance_id}/peers         401    403     201     403   201      404   401
GET    /instances/{instance_id}/peers/{peer_id}        401 200 200 200 200 404 401
PUT    /instances/{instance_id}/peers/{peer_id}        401 403 200 403 200 404 401
DELETE /instances/{instance_id}/peers/{peer_id}        401 403 204 403 204 404 401
GET    /instances/{instance_id}/peers/{peer_id}/token  401 404 404 403 404 404 401
POST   /instances/{instance_id}/peers/{peer_id}/token  401 201 201 403 201 404 401
POST   /instances/{instance_id}/peers/{peer_id}/token/mail  401 409 409 403 409 404 401
DELETE /instances/{instance_id}/peers/{peer_id}/token  401 204 204 403 204 404 401
POST   /instances/{instance_id}/peers/{peer_id}/enrolment 401 403 409 403 409 404 401
GET    /instances/{instance_id}/peers/{peer_id}/formats 401 200 200 200 200 404 401
POST   /instances/{instance_id}/peers/{peer_id}/rotate 401 403 200 403 200 404 401
GET    /sites                                 401    403     403     200   200      200   401
POST   /sites                                 401    403     403     403   201      201   401
GET    /sites/{site_id}                       401    403     403     200   200      404   401
PUT    /sites/{site_id}                       401    403     403     403   200      404   401
DELETE /sites/{site_id}                       401    403     403     403   204      404   401
GET    /site/{site_id}/subnets                401    403     403     200   200      404   401
GET    /places                                401    200     403     200   200      200   401
GET    /users                                 401    403     403     200   200      200   401
POST   /users                                 401    403     403     403   201      201   401
GET    /users/{user_id}                       401    404     403     200   200      404   401
PUT    /users/{user_id}                       401    404     403     403   200      404   401
DELETE /users/{user_id}                       401    404     403     403   204      404   401
GET    /connections                           401    403     403     200   200      200   401
GET    /instances/{instance_id}/connections   401    403     403     200   200      404   401
GET    /receipts                              401    403     403     200   200      200   401
GET    /receipts/{receipt_id}                 401    403     403     200   200      404   401
GET    /events                                401    403     403     200   200      200   401
GET    /groups                                401    403     403     200   200      200   401
POST   /groups                                401    403     403     403   201      201   401
GET    /groups/{group_id}                     401    403     403     200   200      404   401
PUT    /groups/{group_id}                     401    403     403     403   200      404   401
DELETE /groups/{group_id}                     401    403     403     403   204      404   401
GET    /tokens                                401    200     403     200   200      200   401
POST   /tokens                                401    201     403     201   201      201   401
DELETE /tokens/{token_id}                     401    404     403     404   204      404   401
GET    /client                                401    404     404     404   404      404   401
GET    /router/script                        401    401     401     401   401      401   401
POST   /router/enrol                         401    401     401     401   401      401   401
POST   /router/check-in                      401    401     401     401   401      401   401
"""

CALLS_ABOUT_ANOTHERS_PEER = """
                                        anonymous member operator auditor admin stranger staff

GET    /instances/{instance_id}/peers/{peer_id}        401 404 200 200 200 404 401
PUT    /instances/{instance_id}/peers/{peer_id}        401 404 200 403 200 404 401
DELETE /instances/{instance_id}/peers/{peer_id}        401 404 204 403 204 404 401
GET    /instances/{instance_id}/peers/{peer_id}/token  401 404 404 403 404 404 401
POST   /instances/{instance_id}/peers/{peer_id}/token  401 404 201 403 201 404 401
POST   /instances/{instance_id}/peers/{peer_id}/token/mail  401 404 409 403 409 404 401
DELETE /instances/{instance_id}/peers/{peer_id}/token  401 404 204 403 204 404 401
POST   /instances/{instance_id}/peers/{peer_id}/enrolment 401 404 409 403 409 404 401
GET    /instances/{instance_id}/peers/{peer_id}/formats 401 404 200 200 200 404 401
POST   /instances/{instance_id}/peers/{peer_id}/rotate 401 404 200 403 200 404 401
"""


def rows(table: str) -> dict[tuple[str, str], dict[str, int]]:
    """A table as {(method, name): {role: status}}."""
    lines = [line.split() for line in table.strip().splitlines() if line.strip()]
    columns = tuple(lines[0])
    assert columns == ROLES, columns
    return {(method, name): dict(zip(ROLES, map(int, statuses), strict=True)) for method, name, *statuses in lines[1:]}
