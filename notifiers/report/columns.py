"""Text in columns of equal letters: how wide it stands, cutting, wrapping and filling it."""

import unicodedata
from collections.abc import Iterator

from notifiers.slack.mrkdwn import ELLIPSIS, clusters


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():  # most texts are, and this is asked of every cell
        return len(text)
    return sum(map(_width, clusters(text)))


def _width(cluster: str) -> int:
    """One, or two for what is twice as wide: East Asian letters and emoji."""
    wide = unicodedata.east_asian_width(cluster[0]) in "WF" or "\ufe0f" in cluster
    return 2 if wide else 1


def cut(text: str, most: int) -> str:
    """`text`, or its start and an ellipsis, at most so many columns wide."""
    return text if width(text) <= most else _start(text, most - 1) + ELLIPSIS


def _start(text: str, most: int) -> str:
    kept, room = [], most
    for cluster in clusters(text):
        room -= _width(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept)


def filled(text: str, columns: int, *, right: bool = False) -> str:
    """`text` with spaces up to so many columns; `right` puts them in front."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces


def wrapped(text: str, columns: int) -> list[str]:
    """`text` in lines of at most so many columns (two at least); at least one line.

    Nothing is lost but the spaces at which a line ends.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if width(joined) <= columns:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, columns)
        lines += whole
    return [*lines, line] if line or not lines else lines


def _pieces(word: str, columns: int) -> Iterator[str]:
    while width(word) > columns:
        piece = _start(word, columns)
        yield piece
        word = word[len(piece) :]
    yield word
