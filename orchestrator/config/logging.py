"""Structured log lines: one JSON object per line with an event name and its fields."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "request",
}
"""What is no field of an event: what every record carries, and objects of uvicorn and Django."""


class JsonFormatter(logging.Formatter):
    """Render a record as one line of JSON; fields come from `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(
            (key, value) for key, value in vars(record).items() if key not in STANDARD_FIELDS
        )
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def logging_settings(*, level: str, role: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`.

    A server logs on standard output (reliability.md §14). A command answers there, and its answer
    may be read by a program, so its log goes to standard error.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "orchestrator.config.logging.JsonFormatter"}},
        "handlers": {
            "stream": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr" if role == "command" else "ext://sys.stdout",
                "formatter": "json",
            },
        },
        "root": {"handlers": ["stream"], "level": level},
        "loggers": {
            # One line per request and per doorbell would drown the events that matter.
            "uvicorn.access": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
        },
    }
