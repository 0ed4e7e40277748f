"""The forms in which people say what they do with a case: within what Slack takes."""

from hypothesis import given
from hypothesis import strategies as st

from notifiers.slack.blocks import Action
from streams.slack.actions import Opened
from streams.slack.modals import WITH_MODAL, modal
from tests.fakes.slack import validate_view
from tests.unit.test_slack_blocks import FOREIGN, control_sequences

CLAIRE = ("claire", "Claire Dubois")
URL = "https://hooks.slack.com/" + "x" * 1_900
PEOPLE = st.tuples(st.text("abc-", min_size=1, max_size=200), FOREIGN)


@given(action=st.sampled_from(sorted(WITH_MODAL)), headline=FOREIGN, people=st.lists(PEOPLE))
def test_whatever_people_and_partners_are_called_slack_takes_the_form(
    action: Action, headline: str, people: list[tuple[str, str]]
) -> None:
    opened = Opened("c1", "1.2", "C0MANAGE", "1.1", URL)
    view = modal(action, headline, opened, [*people, CLAIRE])
    validate_view(view)
    assert control_sequences(view["blocks"][0]["text"]["text"]) == []


def test_a_house_of_more_people_than_one_menu_holds_can_choose_each_of_them() -> None:
    people = [(f"p{n}", f"Person {n}") for n in range(230)]
    view = modal(Action.ASSIGN, "late", Opened("c1", "1.2", None, None, None), people)
    validate_view(view)
    groups = view["blocks"][1]["element"]["option_groups"]
    assert [o["value"] for group in groups for o in group["options"]] == [key for key, _ in people]
    assert [group["label"]["text"] for group in groups] == [
        "1 to 100", "101 to 200", "201 to 230"
    ]  # fmt: skip
