"""What a breakage is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Breakage", "Edit"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the one place where `old` stands in the file."""

    file: str  # relative to the checkout
    old: str
    new: str

    def found(self, root: Path) -> int:
        """How often `old` stands in the file."""
        return (root / self.file).read_text(encoding="utf-8").count(self.old)

    def apply(self, root: Path) -> None:
        """Make the edit in the checkout at `root`."""
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Breakage:
    """One rule taken away. `tests` notice it where the seeds do not look; none: the seeds do."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()
