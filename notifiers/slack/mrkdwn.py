"""Text that came from elsewhere, made safe for Slack: it pings nobody, formats nothing and fits.

Slack reads `<!channel>`, `<@U123>` and `<https://...>` in a text as mentions and links, and
`*_~` and back-ticks as formatting. Its limits count characters without saying which; this module
counts as UTF-16 does, the larger of the usual counts.
"""

import unicodedata
from collections.abc import Callable, Iterator

from notifiers.render import moment, plain
from schemas.time import SECOND, Instant

ELLIPSIS = "…"
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_JOINER = "\u200d"
_VIRAMA = 9
"""The combining class of signs that bind a consonant to the next one."""
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LOOKS_ALIKE = {"*": "∗", "_": "＿", "~": "∼", "`": "ˋ"}  # noqa: RUF001 - looking alike is the point


def value(text: str, limit: int) -> str:
    """A foreign value within a `mrkdwn` text of ours, at most `limit` characters long."""
    neutral = _unformatted(plain(text))
    return _isolated(_escaped(cut(neutral, limit - 2, _escaped_size)))


def literal(text: str, limit: int) -> str:
    """A text of at most `limit` characters for a `plain_text` object, which reads no markup."""
    return _isolated(cut(plain(text), limit - 2))


def date(at: Instant, zone: str) -> str:
    """A moment that Slack shows in the zone of whoever reads; old clients see it in `zone`."""
    shown = "{date_short_pretty} {time}"
    return f"<!date^{at // SECOND}^{shown}|{_escaped(moment(at, zone))}>"


def size(text: str) -> int:
    """Characters of a text, as UTF-16 counts them."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut(text: str, limit: int, measure: Callable[[str], int] = size) -> str:
    """`text`, or its start and an ellipsis, cut between what readers see as characters."""
    if measure(text) <= limit:
        return text
    kept, room = [], limit - measure(ELLIPSIS)
    for cluster in clusters(text):
        room -= measure(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + ELLIPSIS


def clusters(text: str) -> Iterator[str]:
    """What readers see as one character each (UAX #29, without the rarely used prepended marks)."""
    start = flags = 0
    for at, after in enumerate(text):
        if at == start:
            flags = int(_is_flag(after))
            continue
        before = text[at - 1]
        if _is_flag(before) and _is_flag(after) and flags == 1:
            flags = 2
        elif not _joins(before, after):
            yield text[start:at]
            start, flags = at, int(_is_flag(after))
    if start < len(text):
        yield text[start:]


def _joins(before: str, after: str) -> bool:
    if unicodedata.category(after)[0] == "M" or after in "\u200c\u200d":
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":  # skin tones
        return True
    if before == _JOINER:
        return True
    if unicodedata.combining(before) == _VIRAMA and unicodedata.category(after) == "Lo":
        return True
    return _joins_hangul(before, after)


def _joins_hangul(before: str, after: str) -> bool:
    first, then = _hangul(before), _hangul(after)
    match first:
        case "L":
            return then in {"L", "V", "LV", "LVT"}
        case "V" | "LV":
            return then in {"V", "T"}
        case "T" | "LVT":
            return then == "T"
        case _:
            return False


def _hangul(character: str) -> str | None:
    code = ord(character)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    return None


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in text)


def _escaped_size(text: str) -> int:
    return size(text) + sum(len(_ESCAPED[c]) - 1 for c in text if c in _ESCAPED)


def _unformatted(text: str) -> str:
    """Formatting characters as ones that look alike, except within a word, as in `SO_123`."""
    shown = []
    for at, character in enumerate(text):
        within = text[at - 1 : at].isalnum() and text[at + 1 : at + 2].isalnum()
        shown.append(character if within else _LOOKS_ALIKE.get(character, character))
    return "".join(shown)


def _isolated(text: str) -> str:
    """Text that runs from right to left, so set apart that it does not turn what is around it."""
    turns = any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in text)
    return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}" if turns else text
