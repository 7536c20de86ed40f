"""Passwords: changed by who knows the old one, or reset through the address. Open to all."""
