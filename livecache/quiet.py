"""loguru's logger, silent in a program that uses livecache until that asks: `logger.enable("livecache")`.

The command `livecache` asks for itself, in `logs.setup`. All of livecache takes its logger from here.
"""

from __future__ import annotations

from loguru import logger

__all__ = ["logger"]

logger.disable("livecache")
