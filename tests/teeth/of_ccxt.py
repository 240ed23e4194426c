"""Breakages of what is peculiar to exchanges that are asked by ccxt."""

from __future__ import annotations

from .edits import Breakage, Edit

__all__ = ["OF_CCXT"]

_ROOM, _TESTS = "livecache/venues/by_ccxt", "tests/venues/test_by_ccxt.py"

OF_CCXT = (
    Breakage(
        "flat rows that ccxt makes up for absent ones prove that nothing was traded",
        (
            Edit(
                f"{_ROOM}/exchange.py",
                "        self.ccxt.insert_missing_candles = lambda candles, *_: candles\n",
                "",
            ),
        ),
        (f"{_TESTS}::test_rows_that_ccxt_makes_up_for_absent_ones_prove_nothing",),
    ),
    Breakage(
        "an absent row of ccxt's proves that nothing was traded",
        (Edit(f"{_ROOM}/facts.py", 'empty="flat"', 'empty="absent"'),),
        (f"{_TESTS}::test_an_absent_row_proves_nothing_and_a_flat_one_that_nothing_was_traded",),
    ),
    Breakage(
        "digits pass through ccxt's floats",
        (Edit(f"{_ROOM}/exchange.py", "for number in (str, float):", "for number in (float,):"),),
        (f"{_TESTS}::test_rows_off_the_grid_cost_their_own_bucket",),
    ),
    Breakage(
        "ccxt's floats are printed with exponents",
        (Edit(f"{_ROOM}/answers.py", 'format(Decimal(repr(value)), "f")', "repr(value)"),),
        (f"{_TESTS}::test_digits_stay_as_they_came_and_floats_are_their_shortest_text",),
    ),
    Breakage(
        "an error of ccxt's in an answer 200 is an empty page",
        (Edit(f"{_ROOM}/exchange.py", "                self.ccxt.handle_errors(", "                str("),),
        (f"{_TESTS}::test_an_error_in_an_answer_200_is_a_failure_of_its_kind",),
    ),
    Breakage(
        "ccxt goes by the host's clock",
        (Edit(f"{_ROOM}/exchange.py", "lambda: now() or int(", "lambda: int("),),
        ("tests/conformance/test_by_ccxt.py",),
    ),
    Breakage(
        "more is asked for than the exchange keeps",
        (Edit(f"{_ROOM}/facts.py", "_KEEPS.get(exchange, 0)", "0"),),
        (f"{_TESTS}::test_what_the_tables_tell_becomes_traits",),
    ),
    Breakage(
        "by a host's clock that is ahead ccxt's candles are over too early",
        (Edit(f"{_ROOM}/exchange.py", "return too_early(answer, _OVER.get()) or said", "return said"),),
        (f"{_TESTS}::test_where_no_time_is_told_an_answer_counts_that_was_given_after_the_end",),
    ),
    Breakage(
        "weeks of ccxt's are asked for, though no table tells where they begin",
        (Edit(f"{_ROOM}/facts.py", "_BIGGEST = Timeframe.D1", "_BIGGEST = Timeframe.W1"),),
        (f"{_TESTS}::test_what_the_tables_tell_becomes_traits",),
    ),
    Breakage(
        "what a request of ccxt's costs is not heeded",
        (Edit(f"{_ROOM}/facts.py", "max(1.0, dearest)", "1.0"),),
        (f"{_TESTS}::test_what_the_tables_tell_becomes_traits",),
    ),
    Breakage(
        "a refusal of ccxt's in an answer 200 is a passing fault, and asked again as fast",
        (Edit(f"{_ROOM}/answers.py", '    "DDoSProtection": FailureKind.REFUSED,\n', ""),),
        (f"{_TESTS}::test_an_error_in_an_answer_200_is_a_failure_of_its_kind",),
    ),
    Breakage(
        "who is shut out by an exchange of ccxt's asks on",
        (Edit(f"{_ROOM}/answers.py", "error is None and answer.status in _WALLS", "False"),),
        (f"{_TESTS}::test_who_is_shut_out_does_not_ask_on",),
    ),
    Breakage(
        "a symbol that an exchange of ccxt's does not know is a bad request",
        (Edit(f"{_ROOM}/answers.py", '    "BadSymbol": FailureKind.UNKNOWN_SYMBOL,\n', ""),),
        (f"{_TESTS}::test_an_error_in_an_answer_200_is_a_failure_of_its_kind",),
    ),
)
