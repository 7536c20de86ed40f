"""Identities at providers, by which people log in to their account. Open to who has logged in."""
