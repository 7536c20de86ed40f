"""Mail: written from templates, kept in the database with what it tells of, and sent in the background (ADR 18)."""

from tenantry.mail.message import EmailAddress, Mail
from tenantry.mail.outbox import Mailer
from tenantry.mail.plugin import MailPlugin, standalone_mailer

__all__ = ("EmailAddress", "Mail", "MailPlugin", "Mailer", "standalone_mailer")
