"""`detente check`: whether policy and directory can be put in force, and who could not be told."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detente.desk import now, words
from detente.documents import (
    SAMPLE_DIRECTORY,
    SAMPLE_POLICY,
    DirectoryFile,
    PolicyFile,
    load_directory,
    load_policy,
)
from detente.output import REFUSED, json_option, print_json, say, shown
from detente.settings import document_options, read_settings
from rules.policy import CompiledPolicy
from rules.recipients import Gap, Recipients
from schemas.documents import DocumentError, DocumentProblem
from schemas.policy import OPERATIONS
from schemas.time import Instant


@click.command()
@document_options
@json_option
def check(policy: str | None, directory: str | None, as_json: bool) -> None:
    """Check the policy and the directory, and say for whom nobody could be told.

    Every mistake is named with its file and line. Then come the partners and tiers for which
    nobody is there, with the way in which somebody was looked for. The exit code is 1 if there
    is a mistake, so that a script can refuse the change.

    \b
    detente check
    detente check --policy new-policy.yaml --directory directory.yaml
    """
    settings = read_settings({"policy": policy, "directory": directory})
    at = now()
    mistakes: list[DocumentProblem] = []
    rules = _load_policy(settings.policy or SAMPLE_POLICY, mistakes)
    people = None
    if rules is not None:
        people = _load_directory(settings.directory or SAMPLE_DIRECTORY, rules, mistakes)
    gaps = [] if rules is None or people is None else _gaps(rules.compiled, people.recipients, at)
    warnings = [] if rules is None or people is None else list(_warnings(rules, people, at))
    if as_json:
        print_json(
            {
                "good": not mistakes,
                "mistakes": [asdict(problem) for problem in mistakes],
                "nobody": [_gap_document(gap) for gap in gaps],
                "warnings": warnings,
            }
        )
    else:
        _show(mistakes, gaps, warnings)
        if rules is not None and people is not None:
            _summary(rules, people, gaps, warnings)
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
    def tiers(partner_tier: str | None) -> dict[str, str]:
        ladder = policy.ladder(partner_tier or policy.default_tier)
        return {step.tier: step.document.notify for step in ladder}

    return list(recipients.gaps(tiers, at))


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
