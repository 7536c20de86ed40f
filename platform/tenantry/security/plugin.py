"""Loads tokens and passwords into the application."""

from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from tenantry.config import Settings
from tenantry.security.passwords import PasswordService
from tenantry.security.tokens import TokenService

__all__ = ("SecurityPlugin",)


class SecurityPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.tokens = TokenService.from_settings(settings)
        self.passwords = PasswordService(settings.password_hash_threads)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["tokens"] = Provide(self._provide_tokens, sync_to_thread=False)
        app_config.dependencies["passwords"] = Provide(self._provide_passwords, sync_to_thread=False)
        app_config.on_shutdown.append(self.passwords.close)
        return app_config

    def _provide_tokens(self) -> TokenService:
        return self.tokens

    def _provide_passwords(self) -> PasswordService:
        return self.passwords
