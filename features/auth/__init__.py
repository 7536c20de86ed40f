"""Accounts, sessions and access tokens: how anyone comes in, and how they leave. Open to all."""
