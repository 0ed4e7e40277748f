"""`detente explain`: why a case stands as it does, or why there is none, and what happens next."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

import click
from sqlalchemy import select

from detente.case_story import (
    CaseStory,
    Line,
    headline_lines,
    load_story,
    print_lines,
    step_document,
    step_lines,
    told_documents,
)
from detente.desk import Desk, case_document, feed_watch, find_case, moment, open_desk, words
from detente.moments import due_in
from detente.output import RefusedError, json_option, print_json, shown
from detente.settings import db_option
from rules.decision import CaseRow, EffectKind, Kind, Occurrence, State, StepKind
from rules.explain import (
    Counted,
    Expected,
    Explanation,
    RuleAnswer,
    Verdict,
    explain,
    subject_at,
    what_next,
)
from rules.patterns import INTERNAL, Pattern, dimension_of, read_pattern_key
from rules.policy import CompiledPolicy
from rules.subjects import Document, read_document, split_key, subject_key
from rules.transitions import ACTIVE
from schemas.documents import closest
from schemas.policy import About
from schemas.time import Instant, local_text
from streams.handler import Handler
from streams.horizon import FeedWatch, horizon_of_file
from streams.store import Transaction
from streams.store.tables import subject as subject_table

#: How many steps ahead are looked at.
_AHEAD = 12
_WORDS = {True: "holds", False: "fails", None: "unknown"}
_STYLES = {True: "green", False: "", None: "yellow"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """Everything that is said of one subject."""

    key: str
    story: CaseStory | None
    explanation: Explanation | None
    """None for a pattern whose rule the policy no longer has."""
    expected: Sequence[Expected]
    waits_for: Sequence[str]
    """Sources that hold deadlines which have passed."""


@click.command(name="explain")
@click.argument("case_id", metavar="[CASE]", required=False)
@click.option(
    "--order", nargs=2, metavar="PARTNER ORDER", help="An order, whether it has a case or not."
)
@click.option(
    "--ticket", nargs=2, metavar="PARTNER TICKET", help="A ticket, whether it has a case or not."
)
@json_option
@db_option
def explain_command(
    case_id: str | None,
    order: tuple[str, str] | None,
    ticket: tuple[str, str] | None,
    as_json: bool,
    db: str | None,
) -> None:
    """Say why a case stands as it does, or why there is none, and what happens next.

    For a case: its story with all receipts, and what will happen when if nobody acts. For an
    order or a ticket: every rule of the policy, whether it holds, and why or why not.

    \b
    detente explain C-QKVK6VEMGJ84
    detente explain --order nordlicht PO-17
    detente explain --ticket nordlicht T-2
    """
    if sum(given is not None for given in (case_id, order, ticket)) != 1:
        raise click.UsageError("name one thing: a CASE, --order PARTNER ORDER or --ticket "
                               "PARTNER TICKET")  # fmt: skip
    with open_desk(db) as desk:
        with desk.store.reading() as tx:
            if case_id is not None:
                key = find_case(tx, case_id).subject
            else:
                kind = Kind.ORDER if order else Kind.TICKET
                key = _known(desk, tx, kind, *(order or ticket or ("", "")))
            answer = _answer(desk, tx, key)
        if as_json:
            print_json(_document(desk, answer))
            return
        zone = desk.calendar(split_key(key)[1]).zone
        print_lines(_lines(desk, answer, zone, rules=case_id is None))


# --- finding out ----------------------------------------------------------------------------------


def _known(desk: Desk, tx: Transaction, kind: Kind, partner_id: str, name: str) -> str:
    key = subject_key(kind, partner_id, name)
    if tx.subject(key) is not None:
        return key
    said = f"nothing is known of {kind} {shown(name)} of partner {shown(partner_id)}"
    near = _near(tx, kind, partner_id, name)
    if near:
        raise RefusedError(f"{said}; known are e.g. {shown(', '.join(near))}")
    partners = desk.knowledge.recipients.directory.partners
    hint = "" if partner_id in partners else closest(partner_id, partners)
    raise RefusedError(f"{said}: no event has named it, nor any other {kind} of them.{hint}")


def _near(tx: Transaction, kind: Kind, partner_id: str, name: str) -> list[str]:
    """Names of the partner's subjects that are like the one asked for, or else some of them."""
    prefix = subject_key(kind, partner_id, "")
    key = subject_table.c.key
    theirs = (key >= prefix, key < prefix + "\U0010ffff")
    wanted = prefix + name
    queries = (
        select(key).where(*theirs, key >= wanted).order_by(key).limit(200),
        select(key).where(*theirs, key < wanted).order_by(key.desc()).limit(200),
    )
    found = [k.removeprefix(prefix) for q in queries for k in tx.connection.execute(q).scalars()]
    return get_close_matches(name, found, n=5, cutoff=0.5) or sorted(found)[:5]


def _answer(desk: Desk, tx: Transaction, key: str) -> _Answer:
    kind = split_key(key)[0]
    row, case = tx.subject(key), tx.case_of_subject(key)
    assert row is not None, "a case has a subject"
    document = read_document(row.document)
    knowledge = desk.knowledge
    policy = knowledge.policies.at(desk.now)
    watch = feed_watch(tx, policy.document)
    horizon = watch.horizon(desk.now)
    world = Handler(desk.store, knowledge.policies, knowledge.recipients, watch.horizon).world

    def horizon_at(at: int) -> Any:
        return horizon_of_file(policy.document, at)

    story = None if case is None else load_story(tx, case)
    if kind is Kind.PATTERN:
        if _pattern(tx, key, policy, desk.now) is None:
            return _Answer(key, story, None, [], [])

        def parts() -> tuple[Pattern, Sequence[Occurrence]]:
            made = _pattern(tx, key, policy, desk.now)
            assert made is not None, "it was there a moment ago"
            return made

        pattern, occurrences = parts()
        for occurrence in occurrences:
            pattern.occur(occurrence)
        pattern.ask(desk.now, desk.now)
        told = explain(key, pattern, world, horizon, desk.now)
        expected = what_next(
            key, document, world, desk.now, horizon_at, limit=_AHEAD, pattern=parts
        )
        return _Answer(key, story, told, expected, [])
    subject = subject_at(key, document, world, desk.now, horizon.feeds(kind))
    counted = _counted(tx, key, document, policy, desk.now)
    told = explain(key, subject, world, horizon, desk.now, counted)
    # After a gap the feeds are read up to an earlier instant than the subject was decided at.
    since = row.feeds_due
    told = replace(told, held=tuple(at for at in told.held if since is not None and since <= at))
    expected = what_next(key, document, world, desk.now, horizon_at, limit=_AHEAD)
    waits_for = _holders(watch, kind, told.held, desk.now)
    return _Answer(key, story, told, expected, waits_for)


def _holders(watch: FeedWatch, kind: Kind, held: Sequence[Instant], now: Instant) -> Sequence[str]:
    """The sources that have not been read past the deadlines."""
    if not held:
        return ()
    about = About.TICKETS if kind is Kind.TICKET else About.ORDERS
    found = []
    for report in watch.reports(now):
        declared = watch.policy.sources.get(report.source)
        speaks = declared is None or about in declared.about
        if speaks and report.read_until < max(held):
            why = (
                "no intake is open" if report.is_shut
                else "silent" if report.is_silent
                else "catching up" if report.in_grace
                else f"may report {report.reporting_lag} late"
            )  # fmt: skip
            found.append(f"{report.source} ({why})")
    return found


def _pattern(
    tx: Transaction, key: str, policy: CompiledPolicy, now: int
) -> tuple[Pattern, Sequence[Occurrence]] | None:
    """A pattern with what it counts, as the handler makes it; None if no rule asks for it."""
    of = read_pattern_key(key)
    named = {policy.document.rules[n].name: repeats for n, repeats in policy.pattern_rules}
    repeats = named.get(of.rule)
    if repeats is None:
        return None
    partner = None if of.partner_id == INTERNAL else of.partner_id
    occurrences = tx.occurrences(of.dimension, of.value, partner)
    before: dict[int, list[str]] = {}
    if repeats.of_orders is not None and partner is not None:
        for at in (now, *(o.at for o in occurrences)):
            starts = tx.order_starts(partner, Instant(at), repeats.of_orders)
            before[at] = [order for order, _ in starts]
    return Pattern(of, repeats, before), occurrences


def _counted(
    tx: Transaction, key: str, document: Document, policy: CompiledPolicy, now: Instant
) -> Counted:
    """How often the trouble that this subject shows was counted, for each rule that counts."""
    partner_id = split_key(key)[1]
    found: dict[str, tuple[int, str]] = {}
    for n, repeats in policy.pattern_rules:
        rule = policy.document.rules[n].name
        dimension = dimension_of(rule, repeats)
        for counts_as, value, _ in document.occurrences:
            if counts_as != dimension:
                continue
            made = _pattern(tx, f"{Kind.PATTERN}:{_escaped(partner_id)}:{dimension}/{value}",
                            policy, now)  # fmt: skip
            if made is None:
                continue
            pattern, occurrences = made
            for occurrence in occurrences:
                pattern.occur(occurrence)
            pattern.ask(now, now)
            count = pattern.occurrences()
            if count is not None and (rule not in found or count[0] > found[rule][0]):
                found[rule] = count
    return found


def _escaped(partner_id: str) -> str:
    return subject_key(Kind.PATTERN, partner_id, "").split(":")[1]


# --- as text --------------------------------------------------------------------------------------


def _lines(desk: Desk, answer: _Answer, zone: ZoneInfo, *, rules: bool) -> Iterator[Line]:
    told, story = answer.explanation, answer.story
    if rules and told is not None:
        of = f" of {told.partner_id} ({told.partner_tier})" if told.partner_id else ""
        yield Line(shown(f"{told.kind} {told.name}{of}"), style="bold")
        yield from _standing(story.case if story else None)
    elif story is not None:
        yield from headline_lines(desk, story.case, zone)
    if told is not None:
        for line in told.remarks:
            yield Line(shown(line))
        for span in told.disruptions:
            if story is None or story.case.parent != span.case_id:
                yield Line(f"If it gets late it is attached to {span.case_id} "
                           f"({shown(span.summary)}), and nobody is alerted again.")  # fmt: skip
    if rules and told is not None:
        yield Line("")
        yield Line(f"Rules (policy {told.policy})", style="bold underline")
        yield from _rules(told.rules, story.case if story else None, told.kind)
    elif story is not None:
        yield Line("")
        yield Line("What happened", style="bold underline")
        yield from step_lines(desk, story, zone, receipts=True)
    yield Line("")
    yield Line("What happens next if nothing is reported and nobody acts",
               style="bold underline")  # fmt: skip
    yield from _future(desk, answer, zone)
    if not rules and story is not None and told is not None and told.kind in _ASKED_BY_NAME:
        option = _ASKED_BY_NAME[told.kind]
        yield Line("")
        named = shlex.join([told.partner_id, told.name])
        yield Line(shown(f"Every rule, also those that do not hold: detente explain {option} "
                         f"{named}"), style="dim")  # fmt: skip


_ASKED_BY_NAME = {Kind.ORDER: "--order", Kind.TICKET: "--ticket"}


def _standing(case: CaseRow | None) -> Iterator[Line]:
    if case is None:
        yield Line("There is no case about it.")
        return
    at = f" at {case.tier}" if case.state in ACTIVE else ""
    yield Line(f"Case {case.case_id}: {case.state}{at}"
               f"{f', attached to {case.parent}' if case.parent else ''}")  # fmt: skip


def _rules(rules: Sequence[RuleAnswer], case: CaseRow | None, kind: Kind) -> Iterator[Line]:
    for answer in rules:
        if not answer.concerns:
            continue
        shadow = ", in shadow" if answer.shadow else ""
        matched = ""
        if case is not None and answer.name in case.rules and answer.holds is not True:
            matched = ", but matched earlier and stands"
        yield Line(
            f"{answer.name} (opens at {answer.open_at}{shadow}): {_WORDS[answer.holds]}{matched}",
            2,
            _STYLES[answer.holds] or "bold",
        )
        yield from _tree(answer.verdict, 6)
    others = [answer.name for answer in rules if not answer.concerns]
    if others:
        yield Line(f"never about {_plural(kind)}: {', '.join(others)}", 2, "dim")


def _plural(kind: Kind) -> str:
    return f"{kind}s" if kind is not Kind.TOUCHPOINTS else "touchpoints"


def _tree(verdict: Verdict, indent: int) -> Iterator[Line]:
    because = f": {shown(verdict.because)}" if verdict.because else ""
    yield Line(f"{verdict.text}  {_WORDS[verdict.holds]}{because}", indent, _STYLES[verdict.holds])
    for part in verdict.parts:
        yield from _tree(part, indent + 4)


def _future(desk: Desk, answer: _Answer, zone: ZoneInfo) -> Iterator[Line]:
    if answer.waits_for:
        assert answer.explanation is not None, "only what is explained is held"
        first = local_text(min(answer.explanation.held), zone)
        yield Line(f"A deadline of {first} has passed and is held until these feeds are heard of: "
                   f"{shown(', '.join(answer.waits_for))}.", style="yellow")  # fmt: skip
    case = answer.story.case if answer.story else None
    if case is not None and case.state is State.OPEN and case.due is not None:
        yield from _reminders(desk, case)
    if not answer.expected:
        yield Line("Nothing: no deadline is running.")
        return
    because = ""
    for n, expected in enumerate(answer.expected):
        step = expected.step
        following = answer.expected[n + 1] if n + 1 < len(answer.expected) else None
        summary = shown(desk.said(step))
        if step.kind is StepKind.BREACHED and following and following.step.at == step.at:
            because = summary
            continue
        when = "now" if expected.at <= desk.now else local_text(expected.at, zone)
        asked = _people(desk, expected, EffectKind.ALERT)
        yield Line(f"{when}  {summary}{f' ({asked})' if asked else ''}", style="bold")
        if because:
            yield Line(f"because {because}", 4)
        else:
            for why in step.receipt.get("why") or ():  # type: ignore[attr-defined]  # a list of text
                yield Line(shown(why), 4)
        because = ""
        others = _people(desk, expected, EffectKind.NOTICE, EffectKind.UPDATE)
        if others:
            how = "instead" if step.kind is StepKind.NOT_CLIMBED else "for information"
            yield Line(f"told {how}: {others}", 4, "dim")
        if step.due is not None and expected.case.parent is None:
            yield Line(f"to be acknowledged by {local_text(step.due, zone)}", 4, "dim")
    if len(answer.expected) >= _AHEAD:
        yield Line("... and so on", style="dim")


def _reminders(desk: Desk, case: CaseRow) -> Iterator[Line]:
    ladder = desk.knowledge.policy.ladder(case.partner_tier)
    step = next((s for s in ladder if s.tier == case.tier), None)
    if step is None or step.document.remind_every is None or not step.document.remind_at_most:
        return
    people = desk.people(step.document.notify, case.partner_id or None, desk.now)
    assert case.due is not None, "asked for by the caller"
    often = f"every {step.document.remind_every}, at most {step.document.remind_at_most} times"
    who = shown(", ".join(people) or "nobody")
    yield Line(f"Until it is acknowledged (due {due_in(case.due, desk.now)}): {who} "
               f"reminded {often}")  # fmt: skip


def _people(desk: Desk, expected: Expected, *kinds: EffectKind) -> str:
    found: dict[str, None] = {}
    for effect in expected.effects:
        if effect.kind in kinds:
            people = desk.people(effect.role, effect.partner_id, expected.at)
            plain = words(effect.role.partition(":")[0])
            found |= dict.fromkeys(people or (f"nobody is {plain}",))
    return shown(", ".join(found)) if found else ""


# --- as a document --------------------------------------------------------------------------------


def _document(desk: Desk, answer: _Answer) -> dict[str, Any]:
    told, story = answer.explanation, answer.story
    kind, partner_id, name = split_key(answer.key)
    document: dict[str, Any] = {
        "at": moment(desk.now),
        "subject": {"kind": str(kind), "name": name, "key": answer.key},
        "partner": partner_id or None,
        "case": None if story is None else case_document(story.case),
        "steps": [] if story is None else [step_document(step) for step in story.steps],
        "told": [] if story is None else told_documents(story),
        "next": [_expected(desk, expected) for expected in answer.expected],
    }
    if told is not None:
        document |= {
            "partner_tier": told.partner_tier,
            "policy": told.policy,
            "rules": [
                {
                    "name": rule.name,
                    "open_at": rule.open_at,
                    "holds": rule.holds,
                    "concerns": rule.concerns,
                    "shadow": rule.shadow,
                    "condition": _verdict(rule.verdict),
                }
                for rule in told.rules
            ],
            "remarks": list(told.remarks),
            "held": {
                "deadlines": [moment(due) for due in told.held],
                "waits_for": list(answer.waits_for),
            },
            "disruptions": [
                {"case": span.case_id, "summary": span.summary} for span in told.disruptions
            ],
        }
    return document


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "text": verdict.text,
        "holds": verdict.holds,
        "because": verdict.because,
        "parts": [_verdict(part) for part in verdict.parts],
    }


def _expected(desk: Desk, expected: Expected) -> dict[str, Any]:
    return step_document(expected.step) | {
        "expected_at": moment(expected.at),
        "state": str(expected.case.state),
        "tells": [
            {
                "kind": str(effect.kind),
                "role": effect.role,
                "people": list(desk.people(effect.role, effect.partner_id, expected.at)),
            }
            for effect in expected.effects
        ],
    }
