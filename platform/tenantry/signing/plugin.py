"""Lets the tokens of this process be signed and checked with the keys of the database."""

from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.security.plugin import SecurityPlugin
from tenantry.signing.watch import KeyWatch

__all__ = ("SigningPlugin",)


class SigningPlugin(InitPlugin):
    def __init__(self, security: SecurityPlugin) -> None:
        self.watch = security.tokens.watch = KeyWatch(security.tokens.keys, security.vault)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.on_startup.append(self.watch.start)
        app_config.on_shutdown.insert(0, self.watch.stop)
        return app_config
