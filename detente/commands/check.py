"""`detente check`: whether policy and directory can be put in force, and who could not be told."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from detente.desk import moment, now, words
from detente.documents import (
    SAMPLE_DIRECTORY,
    SAMPLE_POLICY,
    DirectoryFile,
    PolicyFile,
    load_directory,
    load_policy,
)
from detente.moments import ago, read_age
from detente.output import REFUSED, json_option, print_json, print_table, say, shown
from detente.reachability import (
    RouteReport,
    Standing,
    TierReport,
    read_proof,
    route_reports,
    tier_reports,
)
from detente.settings import Settings, db_option, document_options, read_settings
from rules.policy import CompiledPolicy
from rules.recipients import Gap, Recipients
from schemas.documents import DocumentError, DocumentProblem
from schemas.policy import OPERATIONS
from schemas.time import Instant
from streams.store import Store
from streams.store.engines import database_file, parse_url


@click.command()
@document_options
@click.option("--reachability", is_flag=True, help="Also say when each route was last proved.")
@click.option(
    "--stale-after",
    default="30d",
    metavar="AGE",
    help="How long a proof counts, with --reachability.  [default: 30d]",
)
@json_option
@db_option
def check(
    policy: str | None,
    directory: str | None,
    *,
    reachability: bool,
    stale_after: str,
    as_json: bool,
    db: str | None,
) -> None:
    """Check the policy and the directory, and say for whom nobody could be told.

    Every mistake is named with its file and line. Then come the partners and tiers for which
    nobody is there, with the way in which somebody was looked for. The exit code is 1 if there
    is a mistake, so that a script can refuse the change.

    With --reachability come the partners and tiers for which no route of anybody has been proved
    by `detente notify test`, and each route with its latest proof. Proofs are read from --db.

    \b
    detente check
    detente check --reachability --stale-after 2w
    detente check --policy new-policy.yaml --directory directory.yaml
    """
    settings = read_settings({"policy": policy, "directory": directory, "db": db})
    try:
        proof_age = read_age(stale_after)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--stale-after") from None
    at = now()
    mistakes: list[DocumentProblem] = []
    rules = _load_policy(settings.policy or SAMPLE_POLICY, mistakes)
    people = None
    if rules is not None:
        people = _load_directory(settings.directory or SAMPLE_DIRECTORY, rules, mistakes)
    gaps = [] if rules is None or people is None else _gaps(rules.compiled, people.recipients, at)
    warnings = [] if rules is None or people is None else list(_warnings(rules, people, at))
    reached = None
    if reachability and rules is not None and people is not None:
        reached = _reachability(rules.compiled, people.recipients, settings, at, proof_age)
    if as_json:
        print_json(
            {
                "good": not mistakes,
                "mistakes": [asdict(problem) for problem in mistakes],
                "nobody": [_gap_document(gap) for gap in gaps],
                "warnings": warnings,
                **({} if reached is None else _reached_document(reached)),
            }
        )
    else:
        _show(mistakes, gaps, warnings)
        if rules is not None and people is not None:
            _summary(rules, people, gaps, warnings)
        if reached is not None:
            _show_reached(reached, at)
    if mistakes:
        raise click.exceptions.Exit(REFUSED)


def _load_policy(path: Path, mistakes: list[DocumentProblem]) -> PolicyFile | None:
    try:
        return load_policy(path)
    except DocumentError as error:
        mistakes += error.problems
        return None


def _load_directory(
    path: Path, policy: PolicyFile, mistakes: list[DocumentProblem]
) -> DirectoryFile | None:
    try:
        return load_directory(path, policy.compiled)
    except DocumentError as error:
        mistakes += error.problems
        return None


def _gaps(policy: CompiledPolicy, recipients: Recipients, at: Instant) -> list[Gap]:
    return list(recipients.gaps(partial(_roles_by_tier, policy), at))


def _roles_by_tier(policy: CompiledPolicy, partner_tier: str | None) -> dict[str, str]:
    ladder = policy.ladder(partner_tier or policy.default_tier)
    return {step.tier: step.document.notify for step in ladder}


# --- what tests of the routes have shown ----------------------------------------------------------

_Reached = tuple[list[RouteReport], list[TierReport]]


def _reachability(
    policy: CompiledPolicy,
    recipients: Recipients,
    settings: Settings,
    at: Instant,
    stale_after: int,
) -> _Reached:
    active = [who for who, person in recipients.directory.people.items() if person.active]
    file = database_file(parse_url(settings.db))
    if file is not None and not file.exists():  # nothing was ever tried
        routes = list(route_reports(recipients, active, lambda _, __: None, at, stale_after))
    else:
        with Store.open(settings.db, create=False) as store, store.reading() as tx:
            found = partial(read_proof, tx)
            routes = list(route_reports(recipients, active, found, at, stale_after))
    return routes, list(tier_reports(recipients, partial(_roles_by_tier, policy), routes, at))


def _show_reached(reached: _Reached, at: Instant) -> None:
    routes, tiers = reached
    proved = len([report for report in routes if report.standing is Standing.PROVED])
    say()
    if tiers:
        print_table(
            ("partner", "tier", "who would be told", "best route"),
            [
                (report.partner_id or "(others)", report.tier, ", ".join(report.people),
                 report.standing)
                for report in tiers
            ],
            title="Nobody is proved to be reachable for:",
        )  # fmt: skip
    else:
        say("For every partner and tier somebody is proved to be reachable.")
    say()
    print_table(
        ("person", "route", "is", "last reached", "last tried", "why"),
        [_route_row(report, at) for report in routes],
        title="Routes:",
        empty="nobody has a route",
    )  # fmt: skip
    say(f"{proved} of {_many(len(routes), 'route')} proved; `detente notify test` proves more.")


def _route_row(report: RouteReport, at: Instant) -> tuple[object, ...]:
    proof = report.proof
    if proof is None:
        return report.person, report.route, report.standing, "never", "never", ""
    reached = "never" if proof.reached_at is None else ago(proof.reached_at, at)
    return (report.person, report.route, report.standing, reached, ago(proof.at, at),
            proof.failure or "")  # fmt: skip


def _reached_document(reached: _Reached) -> dict[str, Any]:
    routes, tiers = reached
    return {
        "not_proved": [
            {
                "partner": report.partner_id,
                "tier": report.tier,
                "people": list(report.people),
                "standing": report.standing,
                "how": list(report.steps),
            }
            for report in tiers
        ],
        "routes": [
            {
                "person": report.person,
                "route": report.route,
                "standing": report.standing,
                "reached_at": moment(report.proof.reached_at if report.proof else None),
                "tried_at": moment(report.proof.at if report.proof else None),
                "failure": report.proof.failure if report.proof else None,
            }
            for report in routes
        ],
    }


def _warnings(policy: PolicyFile, directory: DirectoryFile, at: Instant) -> Iterator[str]:
    """What is allowed and probably not meant."""
    compiled, recipients = policy.compiled, directory.recipients
    listed = directory.document.value
    best = compiled.partner_tiers[0]
    for partner_id in listed.partners:
        tier = recipients.partner_tier(partner_id, at)
        top = compiled.ladder(tier or compiled.default_tier)[-1].document.notify
        line = directory.document.locate(("partners", partner_id))
        if tier == best and not recipients.people(top, partner_id):
            yield f"{directory.name}:{line}: {partner_id} is {best} and has no {words(top)}"
    if not recipients.resolve(OPERATIONS, None, at).recipients:
        yield f"{directory.name}: nobody fills the role {OPERATIONS}: alarms would reach nobody"
    named = {who for partner in listed.partners.values() for who in _people(partner.roles)}
    named |= set(_people(listed.roles))
    for person_id, person in listed.people.items():
        line = directory.document.locate(("people", person_id))
        if person_id in named and not person.active:
            yield f"{directory.name}:{line}: {person_id} has left and still fills a role"
        elif person_id in named and not person.routes:
            yield f"{directory.name}:{line}: {person_id} fills a role and has no route"


def _people(roles: dict[str, str | tuple[str, ...]]) -> Iterator[str]:
    for named in roles.values():
        yield from (named,) if isinstance(named, str) else named


def _show(mistakes: list[DocumentProblem], gaps: list[Gap], warnings: list[str]) -> None:
    for problem in mistakes:
        say(shown(problem))
    if mistakes:
        say(f"{_many(len(mistakes), 'mistake')}: this cannot be put in force.")
    if gaps:
        say("Nobody can be told:")
    for gap in gaps:
        say(f"  {shown(_whom(gap))}, {gap.tier}: {shown(' '.join(gap.resolution.steps))}")
    for warning in warnings:
        say(f"Warning: {shown(warning)}.")


def _whom(gap: Gap) -> str:
    return gap.partner_id or "partners that the directory does not list"


def _summary(
    policy: PolicyFile, directory: DirectoryFile, gaps: list[Gap], warnings: list[str]
) -> None:
    document, listed = policy.document.value, directory.document.value
    good = "no mistakes" if gaps or warnings else "all good"
    say(
        f"{good}: {_many(len(document.rules), 'rule')}, {_many(len(document.tiers), 'tier')}, "
        f"{_many(len(listed.partners), 'partner')}, "
        f"{_many(len(listed.people), 'person', 'people')} "
        f"({shown(policy.name)}, {shown(directory.name)})."
    )


def _many(n: int, one: str, more: str | None = None) -> str:
    return f"{n} {one if n == 1 else more or f'{one}s'}"


def _gap_document(gap: Gap) -> dict[str, Any]:
    return {
        "partner": gap.partner_id,
        "tier": gap.tier,
        "role": gap.resolution.role,
        "told_instead": list(gap.resolution.people),
        "how": list(gap.resolution.steps),
    }
