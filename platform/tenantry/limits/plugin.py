"""Gives handlers their `throttles`."""

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.inject import provided
from tenantry.limits.throttles import Throttles

__all__ = ("LimitsPlugin",)


class LimitsPlugin(InitPlugin):
    def __init__(self) -> None:
        self.throttles = Throttles()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["throttles"] = provided(self.throttles)
        app_config.signature_namespace["Throttles"] = Throttles
        app_config.on_startup.append(self._start)
        return app_config

    def _start(self, app: Litestar) -> None:
        self.throttles.database = app.state.database
