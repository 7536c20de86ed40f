"""Lets in whom an identity provider has vouched for, for the slice that has asked it."""

from features.identities.dtos import Identity
from features.identities.service import ArrivalService

__all__ = ("ArrivalService", "Identity")
