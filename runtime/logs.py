"""Logs: one JSON object per line on standard error, with phone numbers masked whoever wrote them.

A line says what it was written for: of a request, what the gateway tells of it (`about`); of a worker, the case and
which of its activities or workflows.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import structlog
from temporalio import activity, workflow

from domain.privacy import mask_text

about: ContextVar[Callable[[], Mapping[str, str]]] = ContextVar("about", default=dict)
"""What is known of the request that is being answered, whenever a line is written."""

Entry = structlog.typing.EventDict


def _mask(_logger: Any, _name: str, entry: Entry) -> Entry:
    """The last fence: every string in an entry, tracebacks included."""
    return {key: mask_text(value) if isinstance(value, str) else value for key, value in entry.items()}


def _about(_logger: Any, _name: str, entry: Entry) -> Entry:
    return {**about.get()(), **_of_the_engine(), **entry}


def _of_the_engine() -> Mapping[str, Any]:
    """The case a worker is at, and with what."""
    if activity.in_activity():
        doing = activity.info()
        return {"case": doing.workflow_id, "activity": doing.activity_type, "attempt": doing.attempt}
    if workflow.in_workflow():
        running = workflow.info()
        return {"case": running.workflow_id, "workflow": running.workflow_type}
    return {}


def configure(process: str, level: str = "INFO") -> None:
    """For a whole process; the standard library's loggers go the same way."""

    def name_process(_logger: Any, _name: str, entry: Entry) -> Entry:
        return {"process": process, **entry}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _about,
        name_process,
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
    workflow.logger.workflow_info_on_message = False  # the same as fields of their own
    activity.logger.activity_info_on_message = False
