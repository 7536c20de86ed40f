"""Connections to a tenant's own identity providers, and the domains that lead to them. For its admins."""
