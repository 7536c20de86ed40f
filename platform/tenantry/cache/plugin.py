"""Gives handlers their `cache`."""

from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.cache.local import LocalCache
from tenantry.cache.store import Cache
from tenantry.config import Settings
from tenantry.inject import provided
from tenantry.readiness import Readiness

__all__ = ("CachePlugin",)


class CachePlugin(InitPlugin):
    """Redis where `redis_url` names one, else a cache of this process."""

    def __init__(self, settings: Settings, readiness: Readiness) -> None:
        self.cache: Cache
        if settings.redis_url is None:
            self.cache = LocalCache()
        else:
            # The client takes a tenth of a second and megabytes to import: only who uses it pays.
            from tenantry.cache.redis import RedisCache

            self.cache = redis = RedisCache(settings.redis_url)
            readiness.add("redis", redis.check, critical=False)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["cache"] = provided(self.cache)
        app_config.signature_namespace["Cache"] = Cache
        app_config.on_shutdown.append(self.cache.close)
        return app_config
