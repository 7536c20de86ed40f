"""Loads tokens, cursors, passwords and the vault into the application."""

from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import Settings
from tenantry.inject import provided
from tenantry.security.cursors import CursorSeal
from tenantry.security.new_passwords import NewPasswords
from tenantry.security.passwords import PasswordService
from tenantry.security.tokens import TokenService
from tenantry.security.vault import Vault

__all__ = ("SecurityPlugin",)


class SecurityPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.tokens = TokenService.from_settings(settings)
        self.vault = Vault.from_settings(settings)
        self.passwords = PasswordService(settings)
        self.new_passwords = NewPasswords(settings)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["tokens"] = provided(self.tokens)
        app_config.dependencies["cursors"] = provided(CursorSeal(self.vault))
        app_config.dependencies["vault"] = provided(self.vault)
        app_config.dependencies["passwords"] = provided(self.passwords)
        app_config.dependencies["new_passwords"] = provided(self.new_passwords)
        app_config.on_shutdown += [self.passwords.close, self.new_passwords.close]
        return app_config
