"""Logging in flow runs: what our own packages say reaches the run's page."""

from __future__ import annotations

import logging

from prefect.settings import PREFECT_LOGGING_EXTRA_LOGGERS


def let_our_logs_through() -> None:
    """Give the loggers that Prefect was told to record a level, since without one they are mute."""
    for name in PREFECT_LOGGING_EXTRA_LOGGERS.value():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
