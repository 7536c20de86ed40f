"""Structured logs: console lines for people, JSON for machines; secrets and addresses never in clear."""

import hashlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import Settings

__all__ = ("LoggingPlugin", "configure_logging", "redact")

SECRET_KEYS = re.compile(
    r"pass(word|wd|phrase)|secret|token|authorization|cookie|api_?key|private|credential", re.IGNORECASE
)
PATTERNS = (
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), lambda _: "[token]"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), lambda _: "Bearer [token]"),
    (re.compile(r"-----BEGIN [^-]+-----.*?(-----END [^-]+-----|$)", re.DOTALL), lambda _: "[key]"),
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), lambda _: "***"),
    (re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+"), lambda match: f"[email {_fingerprint(match[0])}]"),
)
Event = MutableMapping[str, Any]


class LoggingPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        configure_logging(self.settings)
        return app_config


def configure_logging(settings: Settings) -> None:
    """Send our events and those of libraries through the same processors to standard output."""
    as_json = (settings.log_format or ("json" if settings.is_production else "console")) == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # uvicorn's own access line would repeat ours, with the query string in clear.
    logging.getLogger("uvicorn.access").disabled = True
    for noisy in ("httpx", "httpcore", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def redact(_: Any, __: str, event: Event) -> Event:
    """Mask by key, then by pattern, at any depth. E-mail addresses become a fingerprint that can be correlated."""
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = "***" if SECRET_KEYS.search(key) and isinstance(value, str) else _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, replacement in PATTERNS:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, dict):
        return {k: "***" if SECRET_KEYS.search(str(k)) else _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _fingerprint(address: str) -> str:
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()[:12]
