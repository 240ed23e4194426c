"""The progress bar of a back-fill, on a terminal only: a log file wants no bar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ProgressBar"]


class ProgressBar:
    """Draws below the log on stderr. Every method does nothing where stderr is no terminal."""

    def __init__(self, label: str = "back-fill") -> None:
        self._label = label
        self._bar: tuple[Progress, TaskID] | None = None

    def start(self, total: int) -> None:
        """Show the bar at nothing of `total` series; a bar already shown begins again."""
        self.stop()
        if not sys.stderr.isatty():
            return
        # Imported here: rich takes longer to load than the service to find that nothing is missing.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[errors]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
        )
        self._bar = progress, progress.add_task(self._label, total=total, errors="")
        progress.start()

    def advance(self, completed: int, errors: int) -> None:
        """Show `completed` series and `errors` so far: totals, not increments."""
        if self._bar is not None:
            progress, task = self._bar
            noun = "error" if errors == 1 else "errors"
            progress.update(task, completed=completed, errors=f"{errors} {noun}" if errors else "")

    def stop(self) -> None:
        """Take the bar away. May be called at any time, any number of times."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
