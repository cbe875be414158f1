"""How the service logs. A traceback shows where, never the values: they may be keys, or a customer's data."""

from __future__ import annotations

import sys

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback


def configure() -> None:
    """For this process, once: one line a message, on stderr, with the time in UTC."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            ConsoleRenderer(colors=False, exception_formatter=plain_traceback),
        ],
        # Looked up each time: where stderr leads may change, and stdout is for answers.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
