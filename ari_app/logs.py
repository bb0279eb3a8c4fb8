"""structlog, set up once: one line a step, to stderr; JSON unless a person reads it."""

import contextlib
import sys

import structlog


class Unbreakable:
    """stderr, but a disk that is full or a reader that has gone must not end the controller."""

    def write(self, text: str) -> None:
        """Write if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush if that can be done."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(log_format: str) -> None:
    """`log_format` is json, console or auto (console on a terminal)."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=Unbreakable()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
