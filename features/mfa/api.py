"""What factors of any kind have in common, for the slices that know how to judge one."""

from features.mfa.dtos import Change, FactorAdded, NewFactor
from features.mfa.service import FactorService

__all__ = ("Change", "FactorAdded", "FactorService", "NewFactor")
