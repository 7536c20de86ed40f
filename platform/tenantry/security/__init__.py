"""Credentials, passwords, permissions: what proves who is here and what they may do."""
