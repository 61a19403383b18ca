"""SCIM 2.0 (RFC 7643, RFC 7644): a directory provisions people and groups of one organization.

A user is a membership of the organization, never an account: creating one is an invitation. docs/scim.md says what a
directory may do.
"""
