"""The composition root: the list of plugins, and nothing else."""

from litestar import Litestar

from tenantry.cache import CachePlugin
from tenantry.config import Settings, load_settings
from tenantry.db.plugin import DatabasePlugin
from tenantry.feature import discover, slice_folders, slice_modules
from tenantry.http.catalogue import CataloguePlugin
from tenantry.http.deny_by_default import DenyByDefault
from tenantry.http.gate import GatePlugin
from tenantry.http.headers import HttpPlugin
from tenantry.http.openapi import OpenApiPlugin
from tenantry.inject import InjectPlugin
from tenantry.limits.plugin import LimitsPlugin
from tenantry.mail import MailPlugin
from tenantry.observability.logging import LoggingPlugin
from tenantry.observability.metrics import MetricsPlugin
from tenantry.observability.tracing import TracingPlugin
from tenantry.oidc.client import OpenIdPlugin
from tenantry.outbound import OutboundPlugin
from tenantry.readiness import Readiness
from tenantry.security.permissions import declared_permissions
from tenantry.security.plugin import SecurityPlugin
from tenantry.signing.plugin import SigningPlugin

__all__ = ("create_app",)


def create_app(settings: Settings | None = None, *, features: str = "features") -> Litestar:
    """The application of one process; `features` is the package whose slices it serves."""
    settings = settings or load_settings().settings
    readiness, security, limits = Readiness(), SecurityPlugin(settings), LimitsPlugin(settings)
    outbound = OutboundPlugin(settings)
    return Litestar(
        plugins=[
            InjectPlugin(settings=settings, readiness=readiness),
            LoggingPlugin(settings),
            MetricsPlugin(),
            HttpPlugin(settings),
            DatabasePlugin(settings, readiness),
            CachePlugin(settings, readiness),
            limits,
            MailPlugin(settings, security.vault, slice_folders(features, "mails")),
            outbound,
            OpenIdPlugin(outbound.outbound),
            security,
            SigningPlugin(security),
            GatePlugin(settings, security.tokens, limits.limiter, readiness),
            CataloguePlugin(declared_permissions(slice_modules(features, "permissions"))),
            OpenApiPlugin(),
            *discover(features),
            DenyByDefault(),
            TracingPlugin(),
        ],
    )
