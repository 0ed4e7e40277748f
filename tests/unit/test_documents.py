"""Documents that people write: every mistake has its file, line, path and what is accepted."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.policy import compile_policy
from rules.recipients import Recipients, directory_problems
from schemas import documents
from schemas.directory import Directory
from schemas.documents import DocumentError, DocumentProblem, read_document
from schemas.policy import ROLES, LadderTier, Policy
from schemas.units import SPAN_SYNTAX

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

POLICY = """\
rules:
  - name: late
    when:
      delay: "> 48h"
    open_at: management
ladders:
  default: {}
calendars:
  default:
    timezone: UTC
    hours: {mon-fri: ["09:00-17:00"]}
sources:
  /erp: {cadence: 1h}
"""


def mistakes(text: str | bytes, model: type[Directory | Policy] = Directory) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read_document(text, "d.yaml", model)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def read_or_refused(
    text: str | bytes,
) -> tuple[Directory | None, tuple[DocumentProblem, ...]]:
    try:
        return read_document(text, "d.yaml", Directory).value, ()
    except DocumentError as error:
        return None, error.problems


def policy_with(old: str, new: str) -> list[str]:
    assert POLICY.count(old) == 1
    return mistakes(POLICY.replace(old, new), Policy)


def test_a_document_knows_where_each_part_stands() -> None:
    document = read_document(POLICY, "policy.yaml", Policy)
    assert document.value.rules[0].name == "late"
    assert document.locate(("rules", 0, "when", "delay")) == 4
    assert document.locate(("rules", 0)) == 2
    assert document.locate(("sources", "/erp", "cadence")) == 13
    assert document.locate(()) == 1
    problem = document.problem(("rules", 0, "when", "impact"), "no such fact")
    assert problem == DocumentProblem("policy.yaml", 3, "rules[0].when.impact", "no such fact")
    assert str(problem) == "policy.yaml:3: rules[0].when.impact: no such fact"
    assert document.problem(("sources", "/erp"), "x").path == 'sources["/erp"]'


def test_all_mistakes_of_the_content_are_named_in_the_order_of_their_lines() -> None:
    text = """\
people:
  anna: {nmae: Anna, bundle: perhaps}
partners:
  acme: {tier: [{tier: gold}]}
"""
    fields = (
        "name, calendar, routes, hand_over_after, stand_in, absences, quiet_hours, bundle, active"
    )
    assert mistakes(text) == [
        "d.yaml:2: people.anna.name: required, but missing",
        "d.yaml:2: people.anna.bundle: true or false is expected; found 'perhaps'",
        f"d.yaml:2: people.anna.nmae: not known here. Did you mean name? Accepted: {fields}",
        "d.yaml:4: partners.acme.tier[0].since: required, but missing",
    ]


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ("{name: A, routes: [{kind: post}]}", "routes[0]: 'kind' is one of 'terminal', 'webhook'"),
        (
            "{name: A, routes: [{kind: terminal, url: x}]}",
            "not known here. Accepted: tiers, hours, hand_over_after, kind",
        ),
        ("{name: A, routes: [{kind: slack}]}", "names either a channel or a user"),
        (
            "{name: A, routes: [{kind: slack, channel: C024BE91L, user: U061F7AUR}]}",
            "names either a channel or a user",
        ),
        ("{name: A, routes: [{kind: slack, channel: '#alerts'}]}", "a channel's id is expected"),
        ("{name: A, routes: [{kind: slack, user: '@claire'}]}", "a user's member id is"),
        (
            "{name: A, routes: [{kind: slack, user: U061F7AUR, team: acme}]}",
            "a workspace's id is",
        ),
        (
            "{name: A, routes: [{kind: slack, user: U061F7AUR, token: xoxb-1}]}",
            "Accepted: tiers, hours, hand_over_after, kind, channel, user, team, token_env",
        ),
        (
            "{name: A, routes: [{kind: webhook, secret_env: A, url: 'http://x', to: y}]}",
            "to: not known here. Accepted: tiers, hours, hand_over_after, kind, url, secret_env",
        ),
        ("{name: A, absences: [{from: 2026-01-01}]}", "absences[0].until: required"),
        (
            "{name: A, absences: [{from: 2026-01-01, until: 2026-01-02, since: x}]}",
            "Accepted: from, until, stand_in",
        ),
        (
            "{name: A, absences: [{from: soon, until: 2026-01-02}]}",
            "+01:00 or a date is expected, e.g. 2026-11-01; found 'soon'",
        ),
        ("{name: A, absences: [{from: 2026-01-01 10:00:00, until: 2026-01-02}]}", "UTC offset"),
        ("{name: A, absences: [{from: 9999-12-31, until: 2026-01-02}]}", "2099"),
        ("{name: A, quiet_hours: 17:00}", "1020 is not an interval; write e.g. 09:00-17:00"),
        ("{name: A, quiet_hours: 9-5}", "is not a time of day; write HH:MM"),
        ("{name: no}", "text is expected; found false. YAML reads a bare yes, no"),
        ("{name: }", "text is expected; found nothing"),
        ("{name: ''}", "text is expected; found none"),
        ("{name: [a]}", "text is expected; found a list"),
        ("[]", "`key: value` lines are expected; found a list"),
        ("{name: A, calendar: 0x1g}", ""),
    ],
)
def test_a_wrong_value_says_what_is_accepted(person: str, message: str) -> None:
    text = f"people:\n  anna: {person}\n"
    if not message:
        assert read_document(text, "d.yaml", Directory).value.people["anna"].calendar == "0x1g"
        return
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith("d.yaml:2: people.anna")
    assert message in found[0]


@pytest.mark.parametrize(
    "route",
    [
        "{kind: slack, user: U061F7AUR, token_env: xoxb-secret}",
        "{kind: webhook, url: 'https://example.com', secret_env: xoxb-secret}",
    ],
)
def test_a_secret_in_the_place_of_its_name_is_not_repeated(route: str) -> None:
    [found] = mistakes(f"people:\n  anna: {{name: A, routes: [{route}]}}\n")
    assert "the name of an environment variable is expected" in found
    assert "secret" not in found.replace("secret_env", "").replace("not the secret", "")


def test_what_the_field_types_refuse_is_said_in_their_words() -> None:
    assert policy_with("cadence: 1h", "cadence: 2bh") == [
        'd.yaml:13: sources["/erp"].cadence: 2bh depends on a calendar; here write min, h, d or w'
    ]
    assert policy_with("cadence: 1h", "cadence: 1, about: [mail]") == [
        f'd.yaml:13: sources["/erp"].cadence: 1 is not a length of time; write {SPAN_SYNTAX}',
        "d.yaml:13: sources[\"/erp\"].about[0]: must be 'orders' or 'tickets'; found 'mail'",
    ]
    assert policy_with("    open_at: management", "    open_at: management\n    as: always") == [
        "d.yaml:6: rules[0].as: must be 'systemic'; found 'always'"
    ]
    meant, fields = "Did you mean acknowledge_within?", ", ".join(LadderTier.model_fields)
    assert policy_with("default: {}", "default: {x: {notify: a, acknowledge: 1h}}") == [
        "d.yaml:7: ladders.default.x.acknowledge_within: required, but missing",
        f"d.yaml:7: ladders.default.x.acknowledge: not known here. {meant} Accepted: {fields}",
    ]


def test_an_empty_list_and_a_list_with_a_mistake_are_told_apart() -> None:
    assert (
        "at least one is required; found none"
        in policy_with(POLICY[: POLICY.index("ladders")], "rules: []\n")[0]
    )
    assert policy_with("name: late", "nom: late")[0].startswith("d.yaml:2: rules[0].name: required")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "d.yaml:1: the document is empty"),
        ("# nothing yet\n", "d.yaml:1: the document is empty"),
        ("- a\n", "d.yaml:1: `key: value` lines are expected; found a list"),
        ("hello", "d.yaml:1: `key: value` lines are expected; found 'hello'"),
        ("people:\n\tanna: {}", "d.yaml:2: the line starts with a tab"),
        ("people:\n  anna: a: b", "d.yaml:2: a colon stands where none can"),
        ("people:\n  a:\n    name: A\n   b: x\n", "d.yaml:4: the indentation does not fit"),
        ("people: {a: {name: A\n", "d.yaml:2: a bracket that is opened is not closed"),
        ("people: {a: {name: 'A}\n", "d.yaml:2: a quotation mark that is opened is not closed"),
        ("people:\n  a\n  b: c\n", "d.yaml:3: "),
        ("people: @home", "d.yaml:1: text that starts with this sign must stand in quotes"),
        ("people: {}\n---\npeople: {}\n", "d.yaml:2: a second document starts; one is expected"),
        ("people:\n  a: {name: A}\n  a: {name: B}\n", "d.yaml:3: people.a: given twice, first in"),
        ("people:\n  1: {name: A}\n  '1': {name: B}\n", "d.yaml:3: people.1: given twice"),
        ("people: {a: *b}", "d.yaml:1: people.a: *b is not defined above this line"),
        ("people: &x {a: *x}", "d.yaml:1: people.a: *x contains itself"),
        ("people:\n  <<: text\n", "d.yaml:2: people: << takes over mappings"),
        ("people:\n  ? [a]\n  : b\n", "d.yaml:2: people: a key is a name"),
        ("a: &k [1]\n*k : b\n", "d.yaml:2: a key is a name"),
        ("people: !!python/object/apply:os.getcwd []", "d.yaml:1: people: the tag"),
        ("people: !!python/name:os.getcwd x", "d.yaml:1: people: the tag"),
        ("people: !!set {a}", "d.yaml:1: people: the tag"),
        ("people: !mine x", "d.yaml:1: people: the tag !mine is not accepted"),
        ("a: 2026-13-01", "d.yaml:1: a: '2026-13-01' is no valid date or time"),
        ("a: 1\nb: " + "9" * 5_000, "d.yaml:2: b: '999"),
        ("a: \x00", "d.yaml:1: the character '\\x00' cannot stand in a text file"),
        (b"a: 1\nb: \xfc\n", "d.yaml:2: this is not UTF-8 text"),
        ("a: " + "[" * 100_000, "d.yaml:1: a[0][0]: more than 40 levels inside each other"),
        ("a: " + "{a: " * 100_000, "d.yaml:1: a.a.a: more than 40 levels inside each other"),
        ("\n".join(" " * n + "a:" for n in range(1_000)), "d.yaml:42: a.a.a: more than 40"),
    ],
)
def test_what_is_no_document_is_refused_at_its_line(text: str | bytes, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(expected), found[0]


def test_both_parsers_of_yaml_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = ("people:\n\ta: b", "a: b: c", "a: {b: 'c}\n", "a: @b", "--- {}\n--- {}\n", "a: [b\nc: d")
    fast = [mistakes(text) for text in bad]
    monkeypatch.setattr(documents, "_Loader", yaml.SafeLoader)
    assert [mistakes(text) for text in bad] == fast
    assert read_document(POLICY, "d.yaml", Policy).locate(("rules", 0, "when", "delay")) == 4


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    for text in (b"\xef\xbb\xbfpeople: {}", "\ufeffpeople: {}"):
        assert read_document(text, "d.yaml", Directory).value.people == {}


def test_a_document_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 10)
    assert mistakes("people: {}\n") == ["d.yaml:1: 11 bytes; the most that is read is 10"]


def test_aliases_that_multiply_are_refused_before_they_are_written_out() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for above, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{above}'] * 10)}]")
    assert mistakes("\n".join(lines)) == ["d.yaml:6: more than 1000000 values, aliases written out"]


def test_aliases_that_nest_are_as_deep_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]
    assert mistakes("\n".join(lines))[0].endswith("more than 40 levels inside each other")


def test_anchors_and_merges_save_writing() -> None:
    text = """\
people:
  anna: &office
    name: Anna
    calendar: berlin
    routes: &by_terminal [{kind: terminal}]
  ben:
    <<: *office
    name: Ben
  eva: {name: Eva, routes: *by_terminal}
  kim: {<<: [{name: Kim}, *office]}
"""
    document = read_document(text, "d.yaml", Directory)
    people = document.value.people
    assert [person.name for person in people.values()] == ["Anna", "Ben", "Eva", "Kim"]
    assert [person.calendar for person in people.values()] == [
        "berlin",
        "berlin",
        "default",
        "berlin",
    ]
    assert all(len(person.routes) == 1 for person in people.values())
    assert document.locate(("people", "ben", "name")) == 8
    assert document.locate(("people", "ben", "calendar")) == 4
    assert yaml.safe_load(text)["people"]["kim"]["name"] == "Kim"


def test_keys_that_yaml_reads_as_something_else_are_found_again() -> None:
    text = POLICY.replace(
        "    timezone: UTC", "    timezone: UTC\n    overrides:\n      2026-12-24: ['09:00-12:00']"
    )
    document = read_document(text, "d.yaml", Policy)
    assert list(document.value.calendars["default"].overrides) == [date(2026, 12, 24)]
    assert document.locate(("calendars", "default", "overrides", date(2026, 12, 24))) == 12
    wrong = text.replace("'09:00-12:00'", "'9'")
    assert mistakes(wrong, Policy)[0].startswith(
        "d.yaml:12: calendars.default.overrides.2026-12-24[0]: '9' is not an interval"
    )
    text = "people:\n  4711: {name: A, x: 1}"
    assert mistakes(text)[0].startswith("d.yaml:2: people.4711.x: not known here")


@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_text_is_read_or_refused_with_a_line(text: str | bytes) -> None:
    _, problems = read_or_refused(text)
    assert all(problem.line >= 1 and problem.message for problem in problems)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.dates(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "people": st.dictionaries(st.text(max_size=3), _VALUES, max_size=2) | _VALUES,
            "partners": st.dictionaries(
                st.text(max_size=3),
                st.fixed_dictionaries({"tier": _VALUES}, optional={"roles": _VALUES}),
                max_size=2,
            ),
            "roles": _VALUES,
        },
    )
)
def test_values_of_any_shape_are_read_as_safe_load_reads_them_or_refused(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    found, problems = read_or_refused(text)
    assert all(1 <= problem.line <= text.count("\n") for problem in problems)
    assert not any("[key]" in problem.path for problem in problems)
    if found is not None:
        assert found == Directory.model_validate(yaml.safe_load(text))


def test_the_sample_policy_and_directory_fit_together() -> None:
    policy = read_document((EXAMPLES / "policy.yaml").read_bytes(), "policy.yaml", Policy)
    directory = read_document(
        (EXAMPLES / "directory.yaml").read_bytes(), "directory.yaml", Directory
    )
    compiled = compile_policy(policy.value, "sample")
    roles = (*ROLES, *policy.value.roles)
    tiers = compiled.partner_tiers
    assert not list(directory_problems(directory.value, compiled.calendars, roles, tiers))
    recipients = Recipients(directory.value, compiled.calendars, compiled.default_tier)
    ladder = {step.tier: step.document.notify for step in compiled.ladder("strategic")}
    at = 1_798_200_000_000_000  # 25 December 2026, when people are away
    assert not list(recipients.gaps(lambda _: ladder, at))
    tiers_used = {recipients.partner_tier(partner, at) for partner in directory.value.partners}
    assert tiers_used == set(tiers)
