"""Accounts of people: from a sign-up to a confirmed address, and who one is. Open to all."""
