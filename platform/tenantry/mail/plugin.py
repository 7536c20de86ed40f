"""Gives handlers their `mailer`, and sends in the background what it keeps."""

from collections.abc import Iterable
from pathlib import Path

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import Settings
from tenantry.feature import slice_folders
from tenantry.inject import provided
from tenantry.mail.delivery import Delivery
from tenantry.mail.outbox import Mailer
from tenantry.mail.seal import MailSeal
from tenantry.mail.templates import MailTemplates
from tenantry.mail.transports import transport_of
from tenantry.security.vault import Vault

__all__ = ("MailPlugin", "standalone_mailer")


def standalone_mailer(settings: Settings) -> Mailer:
    """For a command, which has a unit of work for the mail: the service finds it in the queue, and sends it."""
    return Mailer(MailTemplates(settings, slice_folders("features", "mails")), MailSeal(Vault.from_settings(settings)))


class MailPlugin(InitPlugin):
    def __init__(self, settings: Settings, vault: Vault, folders: Iterable[Path] = ()) -> None:
        seal = MailSeal(vault)
        self.delivery = Delivery(seal, transport_of(settings))
        self.mailer = Mailer(MailTemplates(settings, folders), seal, self.delivery.wake)
        self.sends = settings.send_mail

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["mailer"] = provided(self.mailer)
        app_config.on_startup.append(self._start)
        # Before the database goes.
        app_config.on_shutdown.insert(0, self.delivery.stop)
        return app_config

    def _start(self, app: Litestar) -> None:
        self.mailer.database = self.delivery.database = app.state.database
        if self.sends:
            self.delivery.start()
