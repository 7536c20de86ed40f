"""Loads what limits requests into the application, and gives handlers their `throttles`."""

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import Settings
from tenantry.inject import provided
from tenantry.limits.limiter import Counter, Limiter, per_minute
from tenantry.limits.local_counter import LocalCounter
from tenantry.limits.throttles import Throttles

__all__ = ("LimitsPlugin",)

ANONYMOUS_IN_PRODUCTION = 600


class LimitsPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.throttles = Throttles()
        anonymous = settings.anonymous_requests_per_minute
        if anonymous is None:
            anonymous = ANONYMOUS_IN_PRODUCTION if settings.is_production else 0
        self._close = None
        counter: Counter = (local := LocalCounter())
        once: Counter = LocalCounter()  # of its own, so that neither pushes out what the other has counted
        if settings.redis_url is not None:
            from tenantry.limits.redis_counter import RedisCounter

            counter = once = redis = RedisCounter(settings.redis_url, local)
            self._close = redis.close
        self.limiter = Limiter(
            counter,
            once=once,
            anonymous=per_minute("address", anonymous),
            credential=per_minute("credential", settings.credential_requests_per_minute),
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["throttles"] = provided(self.throttles)
        app_config.signature_namespace["Throttles"] = Throttles
        app_config.on_startup.append(self._start)
        if self._close is not None:
            app_config.on_shutdown.append(self._close)
        return app_config

    def _start(self, app: Litestar) -> None:
        self.throttles.database = self.limiter.plans.database = app.state.database
