"""`livecache warmup`: how many candles indicators need, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...config.indicators import START_WEIGHT, Stage, Warmup, warmup_of
from ...model.policy import CANDLES_MAX

__all__ = ["show_warmup"]


def show_warmup(indicators: Sequence[str], *, as_json: bool) -> int:
    """Print each with its candles and stages; 1 if one needs more than can be kept. Raises ConfigError."""
    told = [warmup_of(one) for one in indicators]
    need = max(one.candles for one in told)
    if as_json:
        print(json.dumps({"candles": need, "indicators": [_json(one) for one in told]}))
        return 1 if need > CANDLES_MAX else 0
    width = max(len("INDICATOR"), *(len(one.indicator) for one in told))
    print(f"{'INDICATOR':{width}}  CANDLES  WHY")
    for one in told:
        print(f"{one.indicator:{width}}  {one.candles:>7,}  {', then '.join(map(_why, one.stages))}")
    print(f"\n{need:,} closed candles are enough for all of them")
    if any(stage.forgets for one in told for stage in one.stages):
        print(f"+: until what an average began with weighs less than {START_WEIGHT * 100:g} %")
    if need <= CANDLES_MAX:
        return 0
    print(f"but no more than {CANDLES_MAX:,} are kept of a series: take a bigger timeframe")
    return 1


def _why(stage: Stage) -> str:
    return f"{stage.what}: {stage.begins:,}{f' + {stage.forgets:,}' if stage.forgets else ''}"


def _json(one: Warmup) -> dict[str, object]:
    return {**one._asdict(), "stages": [stage._asdict() for stage in one.stages]}
