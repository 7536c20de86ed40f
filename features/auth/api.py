"""The second step of a log-in, for the slices that know how to judge it."""

from features.auth.dtos import Challenge
from features.auth.errors import InvalidChallenge
from features.auth.service import ChallengeService, demand_second_factor

__all__ = ("Challenge", "ChallengeService", "InvalidChallenge", "demand_second_factor")
