"""Breakages of how the writer keeps its lease while it is slow, and of what it believes after a loss."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_WRITERS"]

_STARVED = ("tests/cache/test_starved.py",)
_FENCES = ("tests/cluster/test_fences.py",)

OF_WRITERS = (
    Breakage(
        "what is written does not keep the lease",
        (
            Edit(
                "livecache/write/while_held.py",
                "            await self._lease.keep()\n",
                "            pass\n",
            ),
        ),
        tests=_STARVED,
    ),
    Breakage(
        "what is owed is rewritten in one go",
        (
            Edit(
                "livecache/writer/writer.py",
                "                self._wake.set()\n                break\n",
                "                pass\n",
            ),
        ),
        tests=_STARVED,
    ),
    Breakage(
        "whoever has lost the lease rewrites what it had rewritten",
        (
            Edit(
                "livecache/writer/writer.py",
                "        self._upserts.recall(self._lease.revisions)\n",
                "        self._upserts.recall({})\n",
            ),
        ),
        tests=_STARVED,
    ),
    Breakage(
        "what another has written meanwhile is taken for what was left there",
        (
            Edit(
                "livecache/write/lease.py",
                "    if held[1] == ARGV[2] or held[1] == ARGV[1] then revisions",
                "    revisions",
            ),
            Edit("livecache/write/lease.py", "= held[2] or '' end\n", "= held[2] or ''\n"),
        ),
        tests=("tests/cache/test_fencing.py",),
    ),
    Breakage(
        "in a cluster a symbol is entered whatever its fence says",
        (
            Edit(
                "livecache/write/lease.py",
                "  if fence and fence > tonumber(ARGV[1]) then return 0 end\nend\n",
                "end\n",
            ),
        ),
        tests=_FENCES,
    ),
    Breakage(
        "in a cluster whatever one node fails by is every node's",
        (
            Edit(
                "livecache/wire/spread.py",
                "    if failed and len(failed) == len(outcomes):\n",
                "    if failed:\n",
            ),
        ),
        tests=_FENCES,
    ),
    Breakage(
        "a master of a cluster that is away is said to nobody",
        (
            Edit(
                "livecache/writer/writer.py",
                '        await self._patience.heed(trouble_of(self._redis), "node")\n',
                "",
            ),
        ),
        tests=_FENCES,
    ),
    Breakage(
        "in a cluster a symbol whose fence was lost is not entered again",
        (Edit("livecache/write/lease.py", "        self._entered.discard(symbol)\n", "        pass\n"),),
        tests=_FENCES,
    ),
)
