"""Orders said in short, and what fell due of them."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rules.calendars import BusinessCalendar
from rules.delivery_figures import (
    Basis,
    Condition,
    Due,
    OrderPast,
    Tolerance,
    conditions,
    entries_of,
    overdue,
)
from rules.policy import build_calendar
from rules.subjects import Contribution, state_subject
from schemas.events import Malformed, UnknownType, parse_event
from schemas.policy import CalendarDocument
from schemas.time import Instant, to_instant
from schemas.units import parse_span

BERLIN = ZoneInfo("Europe/Berlin")
LATER = "2026-12-31 00:00"


def calendar(zone: ZoneInfo = BERLIN) -> BusinessCalendar:
    return build_calendar(CalendarDocument(timezone=zone.key, hours={"mon-fri": ("09:00-17:00",)}))


class Said:
    """What is said of one order, in a zone; instants are local unless they carry an offset."""

    def __init__(self, zone: ZoneInfo = BERLIN) -> None:
        self.zone = zone
        self.contributions: list[Contribution] = []

    def at(self, text: str) -> Instant:
        moment = datetime.fromisoformat(text)
        return to_instant(moment if moment.tzinfo else moment.replace(tzinfo=self.zone))

    def when(self, text: str) -> str:
        if len(text) == len("2026-11-01"):
            return text
        return datetime.fromisoformat(text).replace(tzinfo=self.zone).isoformat()

    def say(self, when: str, type_: str, **data: Any) -> "Said":
        for name in ("promised_at", "delivered_at"):
            if data.get(name) is not None:
                data[name] = self.when(data[name])
        body = {
            "specversion": "1.0",
            "id": f"e{len(self.contributions):03}",
            "source": "/erp",
            "type": type_,
            "time": self.when(when),
            "data": {"partner_id": "acme", "order_id": "PO-1", **data},
        }
        event = parse_event(json.dumps(body).encode())
        assert not isinstance(event, Malformed | UnknownType), event
        self.contributions.append(state_subject(event, Instant(0)).contribution)
        return self

    def placed(
        self, promised: str, *lines: dict[str, Any], when: str = "2026-11-01 08:00", **data: Any
    ) -> "Said":
        """Of a hundred lamps unless `lines` says otherwise."""
        bought = list(lines) or [line("lamp", 100)]
        return self.say(when, "order.placed", promised_at=promised, lines=bought, **data)

    def came(
        self,
        on: str,
        *lines: dict[str, Any],
        said: str | None = None,
        name: str | None = None,
        **data: Any,
    ) -> "Said":
        """All hundred lamps unless `lines` says otherwise; reported at once unless `said`."""
        return self.say(
            said or (on if len(on) > 10 else f"{on} 23:00"),
            "delivery.completed",
            delivery_id=name or f"d{len(self.contributions)}",
            delivered_at=on,
            lines=list(lines) or [line("lamp", 100)],
            **data,
        )

    def amended(self, when: str, by: str = "partner", **data: Any) -> "Said":
        return self.say(when, "order.amended", agreed_by=by, **data)

    def cancelled(self, when: str, by: str, **data: Any) -> "Said":
        return self.say(when, "order.cancelled", by=by, **data)

    def reported(self, when: str, kind: str, **data: Any) -> "Said":
        return self.say(when, "order.impacted", kind=kind, **data)

    # -- asking --------------------------------------------------------------------------------

    def dues(
        self,
        basis: Basis = Basis.FIRST,
        as_of: str | int = LATER,
        late: str = "1d",
        short: str = "0",
        contributions: Sequence[Contribution] | None = None,
    ) -> list[Due]:
        """The order, then its lines."""
        said = self.contributions if contributions is None else contributions
        entries = entries_of(said, self.zone)
        at = as_of if isinstance(as_of, int) else self.at(as_of)
        tolerance = Tolerance(parse_span(late), calendar(self.zone), Decimal(short))
        return OrderPast("PO-1", entries, self.zone, at).due(basis, tolerance)

    def order(self, basis: Basis = Basis.FIRST, **how: Any) -> Due:
        return self.dues(basis, **how)[0]

    def overdue(self, at: str) -> tuple[str, Decimal] | None:
        return overdue(entries_of(self.contributions, self.zone), self.zone, self.at(at))

    def conditions(self, *instants: str) -> list[Condition]:
        at = [self.at(text) for text in instants]
        return conditions(entries_of(self.contributions, self.zone), self.zone, at)


def line(sku: str, quantity: float, **data: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, **data}
