"""Cutting a JSON array into the very bytes of its items.

A JSON library would have to read every number and write it again, and 0.10 or 1E2 might come out
as something else. Here nothing is read: only strings and brackets are recognised, so that one
broken item does not hide where the next begins.
"""

import re
from dataclasses import dataclass

# Possessive throughout, and no repetition can begin in two ways: nothing is tried twice, so the
# time is linear and the memory constant on any input.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN = rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+'
_TO_BRACKET = re.compile(_PLAIN, re.DOTALL)
"""To the next bracket that is not inside a string."""
_TO_MARK = re.compile(_PLAIN.replace(b"{}", b"{},"), re.DOTALL)
"""To the next bracket or comma that is not inside a string."""
_BRACKETS = rb"[\[{]" + _PLAIN + rb"[\]}]"
for _ in range(5):
    _BRACKETS = rb"[\[{]" + _PLAIN + rb"(?:" + _BRACKETS + _PLAIN + rb")*+[\]}]"
_SHALLOW = re.compile(_BRACKETS, re.DOTALL)
"""A whole object or array in one step, if it is nested no deeper than events are."""
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Broken:
    """Where an array cannot be followed any more, as an offset in bytes, and why."""

    offset: int
    expected: str

    def __str__(self) -> str:
        return f"{self.expected}; see byte {self.offset}"


def split_array(text: bytes, most: int) -> list[bytes] | Broken:
    """The bytes of each item of a JSON array, without the space around them.

    Stops after `most` + 1 items. For JSON the items are exactly its items; for text that is not
    JSON, whatever lies between the commas, for the parser to refuse one by one. Costs about 2 µs
    for an event of 180 bytes, a quarter of what parsing it takes.
    """
    begin = len(text) - len(text.lstrip(_SPACE))
    if text[begin : begin + 1] != b"[":
        return Broken(begin, "a JSON array begins with [")
    items: list[bytes] = []
    start = at = begin + 1
    depth = 1
    mark = b""
    while len(items) <= most:
        match = (_TO_MARK if depth == 1 else _TO_BRACKET).match(text, at)
        assert match is not None, "both patterns match the empty string"
        at = match.end()
        mark = text[at : at + 1]
        if mark in (b"{", b"["):
            if depth == 1 and (whole := _SHALLOW.match(text, at)):
                at = whole.end()
                continue
            depth += 1
        elif mark == b",":
            items.append(text[start:at].strip(_SPACE))
            start = at + 1
        elif mark == b'"':
            return Broken(at, "a string is never closed")
        elif not mark:
            return Broken(at, "the array ends before its ]")
        else:
            depth -= 1
            if depth == 0:
                break
        at += 1
    else:
        return items
    if mark == b"}":
        return Broken(at, "a } closes the array, which ends with ]")
    if rest := text[at + 1 :].lstrip(_SPACE):
        return Broken(len(text) - len(rest), "something follows the array")
    last = text[start:at].strip(_SPACE)
    if last or items:
        items.append(last)
    return items
