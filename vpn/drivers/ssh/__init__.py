"""Servers that are reached over SSH: OpenSSH by argument list, with one key pair and one trusted host key each."""
