"""Logging in: a proof of who one is, or the API key of a service account, becomes a token. Open to all."""
