"""What a policy says of reports: only known roles, tiers, metrics and zones."""

from typing import Any

import pytest

from rules.policy import PolicyError, compile_policy
from schemas.policy import Policy
from tests.harness import policy


def compiled(**reporting: Any) -> None:
    touchpoints = {"strategic": {"touchpoints": [{"kind": "check_in", "every": "1w"}]}}
    document = policy(reporting=reporting, commitments=touchpoints)
    compile_policy(Policy.model_validate(document), "p")


@pytest.mark.parametrize(
    ("reporting", "path", "said"),
    [
        ({"timezone": "Europe/Berlim"}, ("timezone",), "did you mean Europe/Berlin"),
        (
            {"targets": {"strategci": {"resolution": 90}}},
            ("targets", "strategci"),
            "no partner tier; accepted are default, strategic, growth, standard",
        ),
        (
            {"targets": {"strategic": {"resolutoin": 90}}},
            ("targets", "strategic", "resolutoin"),
            "is not measured; accepted are default, first_response",
        ),
        ({"digest": {"to": ["leadership"]}}, ("digest", "to", 0), "no role; accepted are account"),
        ({"scorecard": {"to": ["anna"]}}, ("scorecard", "to", 0), "or person: and the id of one"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(
    reporting: dict[str, Any], path: tuple[object, ...], said: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        compiled(**reporting)
    (problem,) = refused.value.problems
    assert problem.path == ("reporting", *path)
    assert said in problem.message


def test_everything_that_is_measured_can_have_a_target() -> None:
    metrics = ("first_response", "check_in", "touchpoint", "otif", "default")
    compiled(
        timezone="America/New_York",
        targets={"default": dict.fromkeys(metrics, 90), "growth": {"resolution": "99.5"}},
        digest={"to": ["executive_sponsor", "person:claire"]},
        scorecard={},
    )
