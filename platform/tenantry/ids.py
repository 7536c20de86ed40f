"""Identifiers: UUIDv7, so that ids sort by creation and primary keys stay dense."""

from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ("new_id",)


def new_id() -> UUID:
    return uuid7()
