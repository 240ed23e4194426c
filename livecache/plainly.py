"""What a value has to be, for people: msgspec's messages without a programmer's words. Pure."""

from __future__ import annotations

import re

__all__ = ["plainly"]

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "datetime": "a time",
}
_EXPECTED = re.compile(r"Expected `([^`]+)`(?P<of>(?: (?:of length )?(?:>=|<=|>|<) [\d.]+)?)(?:, got `\w+`)?")
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
_NO_CHOICE = "Invalid enum value "
_BOUNDS = {">=": "{} or more", ">": "more than {}", "<=": "at most {}", "<": "less than {}"}


def plainly(message: str) -> tuple[str, str]:
    """A sentence of what is wrong, and the name of the field that it is about; "" where it names none.

    "Expected `int | null`, got `str` - at `$.limit`" says "it has to be a whole number" of `limit`.
    """
    said, _, path = message.partition(" - at `")
    name = path.rstrip("`").partition("[")[0].removeprefix("$").removeprefix(".")
    if _PATTERN.match(said):
        return "it does not look as it should", name
    if said.startswith(_NO_CHOICE):
        return f"it is none of the choices: {said.removeprefix(_NO_CHOICE)}", name
    if not (found := _EXPECTED.match(said)):
        return f"{said[:1].lower()}{said[1:]}".replace("`", ""), name
    kinds = [_KINDS.get(kind, kind) for kind in found[1].split(" | ") if kind != "null"]
    wanted = " or ".join(kinds) or "left out"
    if bound := found["of"].strip():
        *length, sign, number = bound.split()
        amount = _BOUNDS[sign].format(number.removesuffix(".0"))
        unit = f" {'characters' if kinds == ['text'] else 'of them'}" if length else ""
        wanted = f"{wanted}, {amount}{unit}"
    return f"it has to be {wanted}", name
