"""Style, as tests: where modules may import from, and how long they may be."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "livecache"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py"))

LINES_MAX = 400
MODULES_MAX = 12  # of one room, its `__init__` not counted

# What the pure core must not touch: whoever wants the time or a random number is told it.
IMPURE = {"asyncio", "random", "redis", "secrets", "socket", "threading", "time", "uuid"}

# A room of the house, and which others it may import from, the lower ones first. Modules that are not named
# here are the front of the house, and may import anything.
MAY_IMPORT = {
    "errors": set[str](),
    "clock": set[str](),
    "redis_url": set[str](),
    "files": set[str](),
    "plainly": set[str](),
    "repeats": {"clock"},
    "tape": {"errors"},
    "model": {"errors"},
    "equities": {"errors", "files", "model"},
    "proof": {"model"},
    "ledger": {"errors", "model", "proof"},
    "pacing": {"model"},
    "quota": {"clock", "repeats", "keys", "pacing", "wire"},
    "venues": {"errors", "clock", "files", "repeats", "tape", "model", "equities", "pacing"},
    "config": {"errors", "files", "plainly", "model", "redis_url", "keys", "venues"},
    "keys": {"errors", "model"},
    "embedded": {"errors"},
    "wire": {"errors", "clock", "model", "pacing", "redis_url", "embedded"},
    "read": {"errors", "model", "pacing", "keys", "wire"},
    "reader": {"errors", "model", "equities", "keys", "embedded", "wire", "read", "history"},
    "write": {"errors", "clock", "model", "keys", "wire"},
    "writer": {"errors", "clock", "model", "keys", "wire", "write"},
    "sharing": {"errors", "clock", "repeats", "keys", "wire", "write"},
    "quality": {"errors", "model", "equities", "proof", "keys", "wire", "read", "history"},
    "history": {"errors", "clock", "keys", "model", "equities", "pacing", "venues", "engine", "read"},
    "simulator": {"errors", "clock", "plainly", "tape", "model", "equities"},
    "engine": {
        *("errors", "clock", "repeats", "model", "proof", "ledger", "pacing", "venues", "keys", "wire"),
        *("quota", "write", "writer", "sharing"),
    },
    "http": {
        *("errors", "clock", "files", "plainly", "repeats", "model", "config", "venues", "keys", "wire"),
        *("equities", "history", "read", "reader", "engine"),
    },
    "process": {"errors", "clock", "config", "redis_url", "wire", "embedded", "http"},
    "app": {
        *("errors", "clock", "config", "model", "venues", "redis_url", "keys", "wire", "embedded", "engine"),
        *("http", "process", "history", "sharing", "quota"),
    },
}

PURE = (
    *(
        "livecache/model/",
        "livecache/equities/",
        "livecache/proof/",
        "livecache/ledger/",
        "livecache/pacing/",
    ),
    *("livecache/history/columns.py", "livecache/history/block.py"),
)

# What every room but these may import.
EVERYWHERE = {"quiet"}

# Modules that still name a venue, though they are no venue's room and no simulator's face of one. The list
# may only get shorter.
NAME_A_VENUE = {
    "model/series",
    "simulator/__init__",
}


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def _statements(node: ast.AST, *, on_loading: bool) -> Iterator[ast.AST]:
    """All below it, however deep, but what is for type checking, and with `on_loading` functions."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.expr) or (
            on_loading and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
        ):
            continue
        if isinstance(inner, ast.If) and ast.unparse(inner.test).endswith("TYPE_CHECKING"):
            continue
        yield inner
        yield from _statements(inner, on_loading=on_loading)


def imports(module: str, *, on_loading: bool = False) -> Iterator[str]:
    """Every absolute name that a module imports, but for type checking only.

    `on_loading` leaves out what functions import when they are called.
    """
    package = Path(module).parent.as_posix().replace("/", ".").split(".")
    for node in _statements(tree(module), on_loading=on_loading):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            # `from . import x` names a module; `from .y import x` may name one.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """The room of a dotted name within the package: `livecache.model.candle.Candle` is in `model`."""
    return name.split(".")[1] if "." in name else ""


def test_imports_go_one_way() -> None:
    wrong = []
    for module in MODULES:
        here = room(module.removesuffix(".py").replace("/", "."))
        allowed = MAY_IMPORT.get(here)
        if allowed is None:
            continue
        for name in imports(module):
            there = room(name) if name.startswith("livecache.") else here
            if there != here and there not in {*allowed, *EVERYWHERE}:
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_a_room_holds_no_more_than_can_be_kept_in_mind() -> None:
    modules = Counter(str(Path(module).parent) for module in MODULES if Path(module).stem != "__init__")
    assert {name: count for name, count in modules.items() if count > MODULES_MAX} == {}


def test_no_venue_is_named_outside_of_its_own_room() -> None:
    """What a venue is like is data (`livecache.model.traits`), and which there are is configured."""
    venues = {path.parent.name for path in PACKAGE.glob("venues/[!_]*/traits.py")}
    assert venues
    rooms = tuple(f"livecache/{room}/{venue}/" for room in ("venues", "simulator") for venue in venues)
    rooms += ("livecache/venues/registry.py", "livecache/simulator/face.py")  # the lists of them
    named = {
        module.removeprefix("livecache/").removesuffix(".py")
        for module in MODULES
        if not module.startswith(rooms)
        if any(venue in (ROOT / module).read_text().lower() for venue in venues)
    }
    assert sorted(named - NAME_A_VENUE) == []
    assert sorted(NAME_A_VENUE - named) == [], "these are done: they leave the list"


def test_the_core_is_pure() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if module.startswith(PURE)
        for name in imports(module)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_the_core_never_asks_a_clock() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if module.startswith(PURE)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "today", "utcnow")
        if isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")
    ]
    assert wrong == []


def test_nobody_writes_into_the_log_of_a_program_that_has_not_asked() -> None:
    """`quiet` takes care of that: it has to be loaded by whatever can say something."""
    wrong = [
        module
        for module in MODULES
        if module != "livecache/quiet.py"
        for name in imports(module)
        if name.split(".")[0] == "loguru"
    ]
    assert wrong == [], "from .quiet import logger"


def test_whoever_needs_a_redis_by_its_url_gets_the_client_from_one_place() -> None:
    """Else one command would know nothing of Sentinels, or tell a wrong URL by a traceback."""
    wrong = [
        module
        for module in MODULES
        if module != "livecache/wire/connecting.py" and ".from_url(" in (ROOT / module).read_text()
    ]
    assert wrong == [], "use cache.connecting.client_for"


def test_reading_needs_the_base_dependencies_only() -> None:
    """Whatever `from livecache import Reader` can reach imports nothing of the extra `service` on loading."""
    base = {*sys.stdlib_module_names, "livecache", "redis", "hiredis", "msgspec"}
    seen: set[str] = set()
    wanted = [f"livecache/{name}.py" for name in ("reader/reader", "reader/async_reader", "embedded/server")]
    while wanted:
        module = wanted.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imports(module, on_loading=True):
            assert name.split(".")[0] in base, f"{module} imports {name}"
            for candidate in (name, name.rpartition(".")[0]):
                path = f"{candidate.replace('.', '/')}.py"
                if path in MODULES:
                    wanted.append(path)
    assert "livecache/model/candle.py" in seen


def test_a_module_is_short_and_says_what_it_exports() -> None:
    assert [f"{module}: {wrong}" for module in MODULES for wrong in _untidy(module)] == []


def _untidy(module: str) -> Iterator[str]:
    """What is wrong with the form of a module."""
    text = (ROOT / module).read_text()
    lines = text.count("\n")
    if lines > LINES_MAX:
        yield f"{lines} lines want to be two modules"
    if not text.strip():
        return
    if not ast.get_docstring(tree(module)):
        yield "the first line does not say what it is for"
    if len(tree(module).body) == 1:
        return
    exported = [
        node
        for node in tree(module).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and "__all__" in ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
    ]
    if len(exported) != 1 or exported[0].value is None:
        yield "no __all__"
        return
    names = ast.literal_eval(exported[0].value)
    if names != sorted(set(names), key=_isort_key):
        yield "__all__ is not in ruff's order, each once"


def _isort_key(name: str) -> tuple[int, str]:
    # Constants, then classes, then the rest: as ruff sorts __all__.
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name


def test_no_path_of_one_machine_is_in_the_repository() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in [*PACKAGE.rglob("*"), *ROOT.glob("*.*"), *(ROOT / "docs").rglob("*")]
        if path.is_file() and path.suffix in (".py", ".lua", ".md", ".toml", ".yaml")
        for found in [re.search(r"/(home|root|Users|work)/\w+", path.read_text())]
        if found
    ]
    assert wrong == []
