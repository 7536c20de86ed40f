"""Tenants and who belongs to them. Anyone signed in may found one, and becomes its owner."""
