"""The same trouble again and again is a conflict of its own."""

from notifiers.message import EntryKind
from rules.decision import State
from tests.acceptance.conftest import Begin
from tests.harness import (
    Hears,
    NoCase,
    Notified,
    Opened,
    Reopened,
    Retracted,
    Stands,
    Timeline,
    impacted,
    line,
    opened,
    placed,
    policy,
    rules,
)


def systemic(repeats: str, **when: str) -> dict[str, object]:
    return {
        "name": "repeat",
        "when": {"repeats": repeats, **when},
        "open_at": "management",
        "as": "systemic",
    }


def five_orders(story: Timeline, partner: str = "kontor") -> None:
    story.at("2026-11-02 09:00")
    for n in range(1, 6):
        story.order(f"PO-{n}", partner, promised="2026-12-01")
        story.advance(minutes=10)
    story.at("2026-11-03 09:00")


def quality_problem(story: Timeline, order: str, quantity: str = "2", **more: str) -> None:
    story.given(impacted(order, "quality", report_id=f"R-{order}", quantity=quantity, **more))
    story.advance(minutes=1)


def test_a_quality_problem_in_three_of_five_orders(story: Timeline) -> None:
    five_orders(story)
    pattern = story.pattern("repeat-quality", "category", "quality", "kontor")
    quality_problem(story, "PO-1")
    quality_problem(story, "PO-2")
    story.expect(NoCase(pattern), Stands("PO-1", State.WATCH), Stands("PO-2", State.WATCH))
    story.expect_nobody_told()  # two percent each are seen, and nobody is disturbed
    quality_problem(story, "PO-4")
    story.expect(
        Opened(pattern, "management", "2026-11-03 09:02", why="3 of the last 5 orders"),
        Notified("management", pattern),
        Hears("anna", EntryKind.NOTICE, pattern),
        Stands(pattern, State.OPEN, "management"),
    )
    story.expect_nobody_told()
    quality_problem(story, "PO-5")
    story.expect_nobody_told()  # it is known already


def test_orders_without_trouble_push_older_trouble_out_of_the_window(story: Timeline) -> None:
    five_orders(story)
    quality_problem(story, "PO-1")
    quality_problem(story, "PO-2")
    for n in range(6, 9):
        story.order(f"PO-{n}", promised="2026-12-01")
    story.advance(minutes=1)
    quality_problem(story, "PO-5")  # of the last five, PO-4 to PO-8, it is the only one
    story.expect(NoCase(story.pattern("repeat-quality", "category", "quality", "kontor")))


def test_an_order_that_is_known_late_pushes_older_trouble_out_of_the_window(
    story: Timeline,
) -> None:
    five_orders(story)
    for order in ("PO-1", "PO-2", "PO-5"):
        quality_problem(story, order)
    pattern = story.pattern("repeat-quality", "category", "quality", "kontor")
    story.expect(Opened(pattern, "management"), Notified("management", pattern))
    story.given(placed("PO-X", promised="2026-12-01")._replace(at="2026-11-02 09:15"))
    # The last five are PO-2 to PO-5 and PO-X.
    story.expect(Retracted(pattern), Stands(pattern, State.RETRACTED))


def test_trouble_with_an_order_counts_once_it_is_known_when_it_was_placed(
    story: Timeline,
) -> None:
    five_orders(story)
    quality_problem(story, "PO-3")
    quality_problem(story, "PO-4")
    report = impacted("PO-X", "quality", report_id="R-X", impact_percent="2")
    story.given(report)
    story.advance(minutes=1)
    pattern = story.pattern("repeat-quality", "category", "quality", "kontor")
    story.expect(NoCase(pattern))
    story.given(placed("PO-X", promised="2026-12-01")._replace(at="2026-11-02 09:05"))
    story.expect(Opened(pattern, "management", why="3 of the last 5 orders"))


def test_one_partner_s_orders_do_not_count_for_another(story: Timeline) -> None:
    story.at("2026-11-02 09:00")
    for n, partner in enumerate(("kontor", "kontor", "alpenfrisch", "nordlicht")):
        story.order(f"PO-{n}", partner, promised="2026-12-01")
        story.given(impacted(f"PO-{n}", "quality", partner, quantity="2"))
    assert {case.kind for case in story.cases()} == {"order"}


def test_the_pattern_goes_when_one_of_its_orders_was_reported_wrongly(story: Timeline) -> None:
    five_orders(story)
    pattern = story.pattern("repeat-quality", "category", "quality", "kontor")
    for order in ("PO-1", "PO-2", "PO-3"):
        quality_problem(story, order)
    story.ack(pattern, by="claire")
    story.skip()
    quality_problem(story, "PO-2", quantity="0")  # a correction of the same report
    story.expect(
        Stands(pattern, State.RETRACTED),
        Hears("claire", EntryKind.RETRACTION, pattern),
        Hears("anna", EntryKind.RETRACTION, pattern),
    )
    quality_problem(story, "PO-5")
    story.expect(Stands(pattern, State.OPEN), Notified("management", pattern))


def test_a_resolved_pattern_needs_a_whole_threshold_of_new_orders(begin: Begin) -> None:
    story = begin(
        policy(rules=[*rules("minor-shortfall"), systemic("3 in 30d", category="quality")])
    )
    story.at("2026-11-02 09:00")
    for n in range(1, 7):
        story.order(f"PO-{n}", promised="2026-12-01")
    story.advance(minutes=1)
    pattern = story.pattern("repeat", "category", "quality", "kontor")
    for n in range(1, 4):
        quality_problem(story, f"PO-{n}")
    story.expect(Opened(pattern))
    story.command("resolved", pattern, by="claire", root_cause="wrong glue")
    story.skip()
    story.advance(minutes=1)
    quality_problem(story, "PO-4")
    quality_problem(story, "PO-5")
    story.expect(Stands(pattern, State.RESOLVED))
    story.expect_nobody_told()
    quality_problem(story, "PO-6")
    story.expect(
        Reopened(pattern, "management"),
        Stands(pattern, State.OPEN),
        Notified("management", pattern),
    )


def test_a_pattern_that_the_policy_no_longer_asks_for_stands_and_does_not_climb(
    begin: Begin,
) -> None:
    told = rules("minor-shortfall")
    story = begin(policy(rules=[*told, systemic("3 in 30d", category="quality")]))
    story.at("2026-11-02 09:00")
    for n in range(1, 4):
        story.order(f"PO-{n}", promised="2026-12-01")
        quality_problem(story, f"PO-{n}")
    pattern = story.pattern("repeat", "category", "quality", "kontor")
    story.expect(Opened(pattern))
    story.new_policy("2026-11-02 10:00", rules=told)
    story.advance(days=10)
    story.expect(Stands(pattern, State.OPEN, "management"))


def test_troubles_that_lie_too_far_apart_are_no_pattern(begin: Begin) -> None:
    story = begin(policy(rules=[systemic("2 in 7d", category="quality")]))
    story.at("2026-11-02 09:00")
    for n in range(1, 4):
        story.order(f"PO-{n}", promised="2026-12-31")
    pattern = story.pattern("repeat", "category", "quality", "kontor")
    quality_problem(story, "PO-1")
    story.advance(days=8)
    quality_problem(story, "PO-2")
    story.expect(NoCase(pattern))
    story.advance(days=5)
    quality_problem(story, "PO-3")
    story.expect(Opened(pattern, "management"))


def test_tickets_of_one_kind_are_a_pattern_too(begin: Begin) -> None:
    story = begin(policy(rules=[systemic("3 in 30d", category="billing")]))
    story.at("2026-11-02 09:00")
    pattern = story.pattern("repeat", "category", "billing", "alpenfrisch")
    for n in range(1, 4):
        story.expect(NoCase(pattern))
        story.given(opened(f"T-{n}", "alpenfrisch", category="billing"))
        story.advance(hours=1)
    story.expect(Opened(pattern, "management", "2026-11-02 11:00"))


def test_one_article_in_several_orders_of_one_partner(begin: Begin) -> None:
    story = begin(policy(rules=[systemic("2 in 30d by sku", category="quality")]))
    story.at("2026-11-02 09:00")
    for order, sku in (("PO-1", "GLUE"), ("PO-2", "GLUE"), ("PO-3", "TAPE")):
        story.order(order, promised="2026-12-01", lines=[line(sku)])
        story.given(impacted(order, "quality", lines=[line(sku, "2")]))
        story.advance(minutes=1)
    story.expect(
        Opened(story.pattern("repeat", "sku", "GLUE", "kontor"), "management"),
        NoCase(story.pattern("repeat", "sku", "TAPE", "kontor")),
        NoCase(story.pattern("repeat", "sku", "GLUE")),  # nobody else has it
    )


def test_one_article_across_five_partners_orders_is_one_internal_case(begin: Begin) -> None:
    story = begin(policy(rules=[systemic("3 in 30d by sku", category="quality")]))
    story.at("2026-11-02 09:00")
    partners = ("kontor", "alpenfrisch", "nordlicht", "kontor", "alpenfrisch")
    for n, partner in enumerate(partners, 1):
        story.order(f"PO-{n}", partner, promised="2026-12-01", lines=[line("GLUE")])
        story.given(impacted(f"PO-{n}", "quality", partner, lines=[line("GLUE", "2")]))
        story.advance(minutes=1)
    internal = story.pattern("repeat", "sku", "GLUE")
    story.expect(
        Opened(internal, "management", "2026-11-02 09:02", why="3 in 30d across 3 partners"),
        Notified("management", internal),
    )
    assert [case.case_id for case in story.cases()] == [story.case_id(internal)]


def test_a_pattern_leaves_the_cases_that_it_is_made_of_alone(story: Timeline) -> None:
    five_orders(story)
    quality_problem(story, "PO-1", quantity="6")
    story.expect(Opened("PO-1", "management"))
    story.ack("PO-1", by="claire")
    story.skip()
    quality_problem(story, "PO-2", quantity="3")
    quality_problem(story, "PO-3", quantity="6")
    story.expect(
        Opened(story.pattern("repeat-quality", "category", "quality", "kontor")),
        Stands("PO-1", State.ACKNOWLEDGED),
        Stands("PO-2", State.WATCH),
        Stands("PO-3", State.OPEN),
    )
