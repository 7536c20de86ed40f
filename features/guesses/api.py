"""Counts guesses, for those who judge whether they are right."""

from features.guesses.service import GuessService

__all__ = ("GuessService",)
