"""Copies of what is costly to find out, kept apart by tenant."""

from tenantry.cache.plugin import CachePlugin
from tenantry.cache.store import (
    Cache,
    CacheKey,
    Namespace,
    shared_key,
    shared_namespace,
    tenant_key,
    tenant_namespace,
)

__all__ = (
    "Cache",
    "CacheKey",
    "CachePlugin",
    "Namespace",
    "shared_key",
    "shared_namespace",
    "tenant_key",
    "tenant_namespace",
)
