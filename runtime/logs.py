"""Logs: one JSON object per line on standard error, with phone numbers masked whoever wrote them."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from domain.privacy import mask_text


def _mask(_logger: Any, _name: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The last fence: every string in an entry, tracebacks included."""
    return {key: mask_text(value) if isinstance(value, str) else value for key, value in entry.items()}


def configure(process: str, level: str = "INFO") -> None:
    """For a whole process; the standard library's loggers go the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _mask,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared],
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter()],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("httpx").setLevel("WARNING")
    structlog.contextvars.bind_contextvars(process=process)
