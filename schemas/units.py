"""Quantities with units, as policies write them: `48h`, `4bh`, `3bd`, `1mo`, `5%`, `50000 EUR`.

A span in wall-clock units (`s`, `min`, `h`, `d`, `w`) is elapsed time. Business hours (`bh`) and
business days (`bd`) need a calendar; months (`mo`) need a date. They are kept apart because they
do not convert into each other.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from schemas.time import DAY, HOUR, MINUTE, SECOND, WEEK


class Unit(StrEnum):
    """How a span is counted."""

    ELAPSED = "elapsed"
    """Real time; `amount` is microseconds."""
    BUSINESS_TIME = "business time"
    """Time within the calendar's open hours; `amount` is microseconds."""
    BUSINESS_DAYS = "business days"
    """Working days of the calendar; `amount` is a count."""
    MONTHS = "months"
    """Calendar months; `amount` is a count."""


_ELAPSED = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(bh|bd|mo|min|s|h|d|w)\s*")
SPAN_SYNTAX = "a number with one of min, h, d, w, mo, bh (business hours), bd (business days)"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time with the way it is counted, e.g. `4bh`."""

    text: str
    unit: Unit
    amount: int

    def __str__(self) -> str:
        return self.text


def parse_span(text: str) -> Span:
    """Read `48h`, `4bh`, `2bd`, `1w`, `1mo`. Raises ValueError that says what is accepted."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a length of time; write {SPAN_SYNTAX}")
    number, unit = Decimal(match[1]), match[2]
    shown = f"{match[1]}{unit}"
    if number > 100_000:
        raise ValueError(f"{shown} is longer than any promise; the most is 100000")
    if unit in _ELAPSED:
        return Span(shown, Unit.ELAPSED, int(number * _ELAPSED[unit]))
    if unit == "bh":
        return Span(shown, Unit.BUSINESS_TIME, int(number * HOUR))
    if number != int(number):
        raise ValueError(f"{shown}: {'business days' if unit == 'bd' else 'months'} are whole")
    return Span(shown, Unit.BUSINESS_DAYS if unit == "bd" else Unit.MONTHS, int(number))


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency; amounts in different currencies do not compare."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:,f} {self.currency}"


_MONEY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Z]{3})\s*")


def parse_money(text: str) -> Money:
    """Read `50000 EUR`. Raises ValueError that says what is accepted."""
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not money; write an amount and a currency, e.g. 50000 EUR")
    return Money(Decimal(match[1]), match[2])


_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


def parse_percent(text: str) -> Decimal:
    """Read `5%` as Decimal 5. Raises ValueError that says what is accepted."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a percentage; write e.g. 5%")
    return Decimal(match[1])


@dataclass(frozen=True, slots=True)
class Lead:
    """How early to warn: `1bh` before something is due, or `75%` when so much of it is spent."""

    text: str
    before: Span | None
    spent: Decimal | None
    """Percent of the budget, above 0 and below 100."""

    def __str__(self) -> str:
        return self.text


def parse_lead(text: str) -> Lead:
    """Read `1bh` (so long before it is due) or `75%` (so much of the budget spent).

    Raises ValueError that says what is accepted.
    """
    if text.rstrip().endswith("%"):
        percent = parse_percent(text)
        if not 0 < percent < 100:
            raise ValueError(f"{text!r}: a warning comes after 0% and before 100% of the budget")
        return Lead(f"{percent.normalize():f}%", None, percent)
    try:
        span = parse_span(text)
    except ValueError:
        span = None
    if span is None or span.unit is Unit.MONTHS:
        raise ValueError(f"{text!r} is no time to warn; write e.g. 30min, 1bh, 1bd or 75%")
    return Lead(span.text, span, None)
