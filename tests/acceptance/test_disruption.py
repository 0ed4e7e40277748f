"""A port is closed: one conflict, one ladder, however many orders it makes late."""

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    Attached,
    Breached,
    Cleared,
    Event,
    Hears,
    NoCase,
    Notified,
    Opened,
    Raised,
    Resolved,
    Stands,
    Timeline,
    delivery,
    directory,
    impacted,
    line,
    placed,
    policy,
)


def port_closes(story: Timeline, *, severity: str = "high", **selects: object) -> None:
    which = selects or {"lane": "HAM"}
    story.said(
        "disruption.declared",
        disruption_id="port",
        severity=severity,
        summary="Hamburg port is closed",
        **which,
    )


def shipped(order: str, partner: str, lane: str = "HAM") -> Event:
    data = {"partner_id": partner, "order_id": order, "delivery_id": "D-1", "lane": lane}
    return Event("delivery.dispatched", data | {"carrier": "Seafast"}, "/erp")


def forty_orders(story: Timeline) -> list[str]:
    names = [f"PO-{n}" for n in range(1, 41)]
    story.given(
        *(placed(name, f"partner-{name}", promised="2026-11-03 10:00") for name in names),
        *(shipped(name, f"partner-{name}") for name in names),
    )
    return names


def test_a_port_closed_for_forty_partners_is_one_ladder_and_no_flood(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    orders = forty_orders(story)
    story.at("2026-11-02 14:00")
    port_closes(story)
    story.expect(
        Opened("port", "management", why="Hamburg port is closed (severity high)"),
        Notified("management", "port"),
        Hears("anna", EntryKind.NOTICE, "port"),
    )
    story.advance(minutes=10)
    story.ack("port", by="claire")
    story.skip()
    story.at("2026-11-05 10:01")
    for order in orders:
        story.expect(
            Attached(order, "management", "2026-11-05 10:00", why="Hamburg port is closed"),
            Stands(order, State.OPEN),
        )
    story.expect_silence()
    assert {case.parent for case in story.cases()} == {None, story.case_id("port")}

    story.at("2026-11-05 12:00")
    story.said("disruption.cleared", disruption_id="port")
    story.command("resolved", "port", by="claire", root_cause="storm")
    story.expect(Resolved("port", by="claire"))
    for order in orders:
        story.expect(Resolved(order), Stands(order, State.RESOLVED))
    told = {told.entry.case_id for told in story.told()}
    assert told <= {story.case_id("port")}


def test_what_gets_late_after_it_is_cleared_stands_for_itself(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    port_closes(story)
    story.at("2026-11-05 09:00")
    story.said("disruption.cleared", disruption_id="port")
    story.skip()
    story.at("2026-11-05 10:01")
    story.expect(Opened("PO-1", "management"), Notified("management", "PO-1"))


def test_only_what_it_selects_is_explained_by_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(
        placed("PO-1", promised="2026-11-03 10:00"),
        shipped("PO-1", "kontor", lane="RTM"),
        placed("PO-2", promised="2026-11-03 10:00"),
    )
    port_closes(story)
    story.at("2026-11-05 10:01")
    story.expect(Opened("PO-1", "management"), Opened("PO-2", "management"))


def test_it_can_select_partners_carriers_orders_or_everything(begin: Begin) -> None:
    for selects in (
        {"partner_ids": ["kontor"]},
        {"carrier": "Seafast"},
        {"order_ids": ["PO-1"]},
        {"scope": "all"},
    ):
        story = begin()
        story.at("2026-11-02 09:00")
        story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
        port_closes(story, **selects)
        story.at("2026-11-05 10:01")
        story.expect(Attached("PO-1"))


def test_an_order_that_was_late_before_keeps_its_own_case(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    story.at("2026-11-05 10:30")
    story.skip()
    port_closes(story)
    story.expect(Stands("PO-1", State.OPEN, "management", due="2026-11-05 12:00"))
    case = story.case("PO-1")
    assert case is not None
    assert case.parent is None


def test_a_disruption_that_we_hear_of_late_takes_in_what_it_explains(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    story.at("2026-11-05 10:30")
    story.expect(Opened("PO-1"))
    story.skip()
    data = {"disruption_id": "port", "severity": "high", "summary": "closed", "lane": "HAM"}
    story.given(Event("disruption.declared", data, "/erp", at="2026-11-04 10:00"))
    story.expect(Stands("PO-1", State.OPEN))
    case = story.case("PO-1")
    assert case is not None
    assert case.parent == story.case_id("port")
    # Claire was asked about it before; that it is part of something larger now is hers to know.
    story.expect(Hears("claire", EntryKind.UPDATE, "PO-1", why="attached to the disruption"))
    story.skip()
    story.advance(hours=5)
    assert not [told for told in story.told() if told.entry.case_id == story.case_id("PO-1")]


def test_damage_is_not_explained_by_a_closed_port(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    port_closes(story)
    story.at("2026-11-05 11:00")
    story.expect(Attached("PO-1"))
    story.skip()
    story.given(impacted("PO-1", "damaged", quantity="50"))
    story.expect(
        Raised("PO-1", "management", why="50 of 100 units damaged"),
        Notified("management", "PO-1"),
    )
    case = story.case("PO-1")
    assert case is not None
    assert case.parent is None


def test_damage_that_comes_with_the_end_of_it_is_not_settled_by_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    orders = ("PO-1", "PO-2")
    story.given(*(placed(name, promised="2026-11-03 10:00") for name in orders))
    story.given(*(shipped(name, "kontor") for name in orders))
    port_closes(story)
    story.at("2026-11-05 11:00")
    story.expect(Attached("PO-1"), Attached("PO-2"))
    over = {"case_id": story.case_id("port"), "actor": "claire", "root_cause": "storm"}
    story.given(impacted("PO-1", "damaged", quantity="50"), Event("case.resolved", over, "/cli"))
    story.expect(
        Raised("PO-1", "management", why="50 of 100 units damaged"),
        Stands("PO-1", State.OPEN),
        Resolved("PO-2"),
    )


def test_it_is_urgent_and_does_not_wait_for_the_morning(begin: Begin) -> None:
    story = begin(directory=directory(people={"claire": {"quiet_hours": "20:00-07:00"}}))
    story.at("2026-11-02 22:00")
    port_closes(story)
    story.expect(Hears("claire", EntryKind.ALERT, "port", at="2026-11-02 22:00"))


def test_its_severity_says_where_it_starts(begin: Begin) -> None:
    tiers = {"low": "frontline", "critical": "executive", "default": "management"}
    for severity, tier in (("low", "frontline"), ("odd", "management"), ("critical", "executive")):
        story = begin(policy(exceptions={"disruptions": tiers}))
        story.at("2026-11-02 09:00")
        port_closes(story, severity=severity)
        story.expect(Opened("port", tier), Notified(tier, "port"))


def test_an_order_under_it_that_comes_in_time_is_no_case(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    port_closes(story)
    story.at("2026-11-04 10:00")
    story.delivered("PO-1", lines=[line("LAMP")])
    story.advance(days=5)
    story.expect(NoCase("PO-1"))


def test_nobody_acknowledges_it(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    orders = forty_orders(story)
    port_closes(story)
    story.at("2026-11-05 11:00")
    # It climbs as any case does; the orders under it do not climb by themselves.
    for order in orders:
        story.expect(Stands(order, State.OPEN, "management"))
    messages = {told.message.idempotency_key for told in story.told()}
    assert len(messages) < 20


def test_what_has_not_come_when_it_is_cleared_stands_for_itself(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    orders = ("PO-1", "PO-2", "PO-3")
    story.given(*(placed(name, promised="2026-11-03 10:00") for name in orders))
    story.given(*(shipped(name, "kontor") for name in orders))
    port_closes(story)
    story.at("2026-11-05 10:01")
    story.expect(Attached("PO-1"), Attached("PO-2"), Attached("PO-3"))
    story.advance(hours=1)
    story.delivered("PO-1", lines=[line("LAMP")])
    story.skip()
    story.at("2026-11-05 14:00")
    story.said("disruption.cleared", disruption_id="port")
    story.advance(minutes=1)
    story.expect(
        Cleared("port", "management"),
        Hears("claire", EntryKind.UPDATE, "port", why="it is over"),
        Hears("anna", EntryKind.UPDATE, "port"),
        Opened("PO-2", "management", "2026-11-05 14:00", why="has not come"),
        Notified("management", "PO-2"),
        Opened("PO-3", "management"),
        Notified("management", "PO-3"),
        Stands("PO-1", State.OPEN),
    )
    case = story.case("PO-1")
    assert case is not None
    assert case.parent == story.case_id("port")  # late, and there: part of what is over
    story.command("resolved", "port", by="claire", root_cause="storm")
    story.expect(Resolved("PO-1"), Stands("PO-2", State.OPEN))
    story.at("2026-11-05 16:02")
    story.expect(Breached("PO-2", "management"))


def test_what_comes_to_light_later_about_the_time_before_the_end(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    story.given(placed("PO-1", promised="2026-11-03 10:00"), shipped("PO-1", "kontor"))
    port_closes(story)
    story.at("2026-11-05 14:00")
    story.said("disruption.cleared", disruption_id="port")
    story.advance(minutes=1)
    story.expect(Opened("PO-1", why="has not come"))
    story.skip()
    # It had come before the port was open again, late all the same.
    story.given(delivery("PO-1", on="2026-11-05 12:00", at="2026-11-05 12:00"))
    case = story.case("PO-1")
    assert case is not None
    assert (case.parent, case.state) == (story.case_id("port"), State.OPEN)
    story.advance(hours=5)
    story.expect_no_step()
