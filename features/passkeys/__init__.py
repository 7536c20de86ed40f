"""Passkeys: a second factor, or a log-in without a password. For everybody, of themselves."""
