"""The second step of a log-in, for the slices that know how to judge it, and how often anybody may guess."""

from features.auth.dtos import Challenge
from features.auth.errors import InvalidChallenge
from features.auth.service import ChallengeService, GuessService

__all__ = ("Challenge", "ChallengeService", "GuessService", "InvalidChallenge")
