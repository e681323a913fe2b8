"""Logging of a process of ours: lines for people, or JSON objects, on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time

# Libraries that tell of every step of theirs.
CHATTY = ("alembic", "uvicorn", "httpx")


class JsonLines(logging.Formatter):
    """One JSON object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(json_logs: bool = False, level: int = logging.INFO) -> None:
    """Log to stderr from here on."""
    to_stderr = logging.StreamHandler(sys.stderr)
    if json_logs:
        to_stderr.setFormatter(JsonLines())
    else:
        to_stderr.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[to_stderr], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
