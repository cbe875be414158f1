"""How the service logs: a line a message on stderr, with the time in UTC, as text or as JSON, whether it
comes from us or from a library. A traceback shows where, never the values: they may be keys, or a customer's
data."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import Processor


class _Stderr(logging.StreamHandler[TextIO]):
    """Looked up each time: where stderr leads may change, and stdout is for answers."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        pass


def configure(*, as_json: bool = False) -> None:
    """For this process; again, where it is to be otherwise."""
    told: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [ConsoleRenderer(colors=False, exception_formatter=plain_traceback)]
    if as_json:
        told.append(_request)
        rendered = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*told, *rendered],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*told, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    handler.addFilter(_is_not_said_by_us)
    root.addHandler(handler)


# Libraries that ask others: what goes wrong there they raise as well, and we say it, without the address and
# what is secret in it.
_ASKING = ("clickhouse_connect", "httpcore", "httpx", "stripe", "urllib3")


def _is_not_said_by_us(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] not in _ASKING


def _request(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The id of the request that is being answered, as its answer and the audit trail have it."""
    from billing.audit.actor import actor

    if actor().request is not None:
        event.setdefault("request_id", actor().request)
    return event
