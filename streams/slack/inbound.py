"""What comes from Slack, over Socket Mode or signed HTTP: acknowledged, then done, then answered.

`read` checks a payload and gives what is to be returned to Slack within its three seconds, and the
work that is left; `start` does that work while others go on. A modal with a mistake is answered by
what is returned. Everything else is answered in private where it was done.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from notifiers.report_message import ReportName, Reports
from notifiers.slack.blocks import Action
from notifiers.slack.mrkdwn import value
from rules.decision import CaseRow, State
from rules.policy import CompiledPolicy
from schemas.report import ReportKind
from schemas.time import MINUTE, Instant
from streams.relay import House
from streams.slack import commands, people, showing
from streams.slack.actions import (
    Account,
    Click,
    Interaction,
    Json,
    Opened,
    Order,
    Place,
    Slash,
    Submission,
    detail_of,
    faults,
    name_of,
    read_interaction,
    read_slash,
)
from streams.slack.commands import NotFoundError
from streams.slack.deciding import Decided, Decider
from streams.slack.modals import WITH_MODAL, modal
from streams.slack.people import CODE_LASTS, Stranger
from streams.slack.web import Web
from streams.store import Store, Transaction
from streams.writer import INFRASTRUCTURE_ERRORS, NotTakenError, Writer

_NOT_STORED = "Nothing was changed: the database cannot be written to now. Try again in a moment."
_FAILED = "This failed, and the log of the service says why."
#: Left beside text in one section, of Slack's 3,000 characters.
_SECTION = 2_900

_log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Slack gets at once, and what is left to do."""

    body: Json | None = None
    """Returned as the answer itself: mistakes in a modal."""
    work: Callable[[], Work] | None = None


class Inbound:
    """Everything between a payload and what comes of it, whichever way it came."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        decider: Decider,
        house: Callable[[], House],
        policy: CompiledPolicy,
        clock: Callable[[], Instant],
        web: Web,
        reports: Reports,
    ) -> None:
        self._reports = reports
        self._store, self._writer, self._decider = store, writer, decider
        self._house, self._policy, self._clock, self._web = house, policy, clock, web
        self._running: set[asyncio.Task[None]] = set()

    def read(self, kind: str, payload: object) -> Answer:
        """What is to be said and done about a payload. Raises MalformedError.

        `kind` is what Socket Mode calls it: `interactive` or `slash_commands`.
        """
        found: Interaction | None
        match kind:
            case "interactive":
                found = read_interaction(payload)
            case "slash_commands":
                found = read_slash(payload)
            case _:
                return Answer()
        if found is None:
            return Answer()
        if isinstance(found, Submission) and (wrong := faults(found, self._clock())):
            return Answer({"response_action": "errors", "errors": wrong})
        return Answer(work=lambda: self._handle(found))

    def start(self, answer: Answer) -> None:
        """Begin what is left to do, and see to it that `close` can wait for it."""
        if answer.work is not None:
            task = asyncio.create_task(answer.work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self, within: float) -> None:
        """Let what was acknowledged to Slack be finished, for so many seconds."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=within)
            for task in late:
                task.cancel()

    # -- one interaction -----------------------------------------------------------------------

    async def _handle(self, found: Interaction) -> None:
        try:
            try:
                person = await self._person(found.account)
                if isinstance(person, Stranger):
                    await self._say(found, await self._welcome(found.account, person))
                    return
                match found:
                    case Click():
                        await self._click(found, person)
                    case Submission():
                        await self._submit(found, person)
                    case Slash():
                        await self._command(found, person)
                    case _:
                        assert_never(found)
            except (NotTakenError, *INFRASTRUCTURE_ERRORS) as error:
                _log.error("What came from Slack could not be stored: %s", type(error).__name__)
                await self._say(found, [_NOT_STORED])
        except Exception:  # noqa: BLE001 - logged; whoever clicked gets an answer all the same
            _log.exception("What came from Slack could not be dealt with")
            await self._say(found, [_FAILED])

    async def _person(self, account: Account) -> str | Stranger:
        home = await self._web.home()

        def find(tx: Transaction) -> str | Stranger:
            return people.find_person(tx, account, self._house().recipients, home)

        return await self._reading(find)

    async def _welcome(self, account: Account, stranger: Stranger) -> list[str]:
        if not stranger.may_link:
            return [f"Nothing was done: your Slack account {stranger.why}."]

        def make() -> str:
            with self._store.transaction() as tx:
                return people.make_code(tx, account, self._clock())

        code = await self._writer.call(make)
        return [
            f"Nothing was done: your Slack account {stranger.why}.",
            f"Give this code to whoever runs Detente: `{code}`.",
            f"They enter `detente slack link {code} --person YOU`; then click again.",
            f"The code is good for {CODE_LASTS // MINUTE} minutes.",
        ]

    async def _click(self, click: Click, person: str) -> None:
        if click.action is Action.ACKNOWLEDGE_ALL:
            await self._acknowledge_all(click, person)
        elif click.action in WITH_MODAL:
            await self._open(click, person)
        else:
            name = name_of(click.account, click.moment)
            [decided] = await self._decide([Order(name, click.action, click.value, person, {})])
            await self._tell(click, decided)
            await self._bring_up_to_date(click.place, click.message, decided)

    async def _open(self, click: Click, person: str) -> None:
        # Not over the writer: it may be at a large batch, and Slack waits for three seconds.
        case, why = await asyncio.to_thread(self._decider.look, click.action, click.value, person)
        if case is None or why is not None:
            order = Order("", click.action, click.value, person, {})
            decided = Decided(order, case, done=False, said=why or "", is_stale=True)
            await self._tell(click, decided)
            await self._bring_up_to_date(click.place, click.message, decided)
            return
        place = click.place
        opened = Opened(case.case_id, click.moment, place.channel, place.ts, place.url,
                        place.is_private)  # fmt: skip
        view = modal(click.action, self._headline(case), opened, self._choices(case))
        if not await self._web.open_view(click.trigger_id, view):
            await self._say(click, ["The form could not be opened in time. Click again."])

    def _choices(self, case: CaseRow) -> list[tuple[str, str]]:
        """Active people, those with a role for the partner first, then by name."""
        recipients = self._house().recipients
        roles = [*self._policy.ladder(case.partner_tier)]
        near = {
            person
            for rung in roles
            for person in recipients.people(rung.document.notify, case.partner_id or None)
        }
        found = recipients.directory.people.items()
        active = [(key, person.name) for key, person in found if person.active]
        return sorted(active, key=lambda one: (one[0] not in near, one[1].casefold(), one[0]))

    async def _submit(self, submission: Submission, person: str) -> None:
        name = name_of(submission.account, submission.moment)
        order = Order(name, submission.action, submission.case_id, person, detail_of(submission))
        [decided] = await self._decide([order])
        await self._tell(submission, decided)
        await self._bring_up_to_date(submission.place, None, decided)

    async def _acknowledge_all(self, click: Click, person: str) -> None:
        cases = await self._reading(lambda tx: tx.cases_of_bundle(click.value))
        if not cases and click.message is not None:  # posted, and not yet written down
            cases = tuple(showing.asking(click.message))
        orders = [
            Order(name_of(click.account, click.moment, case), click.action, case, person, {})
            for case in cases
        ]
        decided = await self._decide(orders)
        done = [one for one in decided if one.done]
        lines = [f"You own {len(done)} of {len(decided)} cases now."] if orders else [
            "These cases are no longer listed. `/detente mine` shows what waits for you."
        ]  # fmt: skip
        lines += [f"• {self._sentence(one)}" for one in decided if not one.done][: commands.MOST]
        await self._say(click, lines)
        if decided:
            await self._bring_up_to_date(click.place, click.message, decided[0])

    async def _command(self, slash: Slash, person: str) -> None:
        wanted = commands.parse(slash.text)
        now, house = self._clock(), self._house()
        try:
            match wanted.verb:
                case "mine":
                    await self._say(slash, await self._reading(
                        lambda tx: commands.mine(tx, person, house, self._policy, now)
                    ))  # fmt: skip
                case "case":
                    await self._show_case(slash, wanted.about, person)
                case "ack" | "comment":
                    await self._order(slash, wanted, person)
                case "oncall":
                    named = f"{wanted.about} {wanted.rest}".strip()
                    await self._say(slash, commands.on_call(named, house, self._policy, now))
                case "digest":
                    await self._show_digest(slash, wanted.about)
                case "link":
                    await self._say(slash, [f"You are {value(house.name(person), 200)} already."])
                case _:
                    await self._say(slash, [commands.USAGE])
        except NotFoundError as error:
            await self._say(slash, [str(error)])

    async def _order(self, slash: Slash, wanted: commands.Parsed, person: str) -> None:
        case = await self._reading(lambda tx: commands.find_case(tx, wanted.about))
        action = Action.ACKNOWLEDGE if wanted.verb == "ack" else Action.COMMENT
        if action is Action.COMMENT and not wanted.rest:
            raise NotFoundError("Write what you want to say after the id of the case.")
        detail = {"note": wanted.rest} if wanted.rest else {}
        name = name_of(slash.account, slash.trigger_id)
        [decided] = await self._decide([Order(name, action, case.case_id, person, detail)])
        await self._tell(slash, decided)

    async def _show_case(self, slash: Slash, about: str, person: str) -> None:
        now, house = self._clock(), self._house()

        def look(tx: Transaction) -> Json:
            case = commands.find_case(tx, about)
            zone = house.zone(person)
            section = _section(commands.story(tx, case, house, zone))
            shown = showing.current(tx, case, house, person, now, self._web.base_url)
            if shown is None:
                line = f"*{value(self._headline(case), 500)}*\n{case.case_id}: {case.state}"
                return {"text": line, "blocks": [_section([line]), section]}
            arguments = shown.arguments()
            arguments["blocks"] = [*arguments["blocks"], section]
            return arguments

        await self._web.answer(slash.place, slash.account, await self._reading(look))

    async def _show_digest(self, slash: Slash, asked: str) -> None:
        week = await self._reading(lambda tx: commands.find_digest(tx, asked))
        name = ReportName(str(ReportKind.DIGEST), week)
        report = await asyncio.to_thread(self._reports, name)
        if report is None:
            raise NotFoundError(commands.NO_DIGEST)
        more = _section([f"The whole of it: `detente digest --week {week}`"])
        summary = {"text": f"SLA digest {week}", "blocks": [*report.messages[0], more]}
        await self._web.answer(slash.place, slash.account, summary)

    # -- deciding and answering ----------------------------------------------------------------

    async def _decide(self, orders: Sequence[Order]) -> list[Decided]:
        return await self._writer.call(self._decider.decide, orders)

    async def _reading(self, look: Callable[[Transaction], T]) -> T:
        def read() -> T:
            with self._store.reading() as tx:
                return look(tx)

        return await asyncio.to_thread(read)

    def _sentence(self, decided: Decided) -> str:
        headline = self._headline(decided.case) if decided.case else decided.order.case_id
        if not decided.done:
            return f"{value(headline, 300)}: the case {value(decided.said, 1_000)}."
        yours = (Action.ACKNOWLEDGE, Action.ACKNOWLEDGE_ALL, Action.TAKE_OVER)
        said = "it is yours" if decided.order.action in yours else decided.said
        return f"{value(headline, 300)}: {value(said, 1_000)}."

    def _headline(self, case: CaseRow) -> str:
        return self._house().headline(case.headline, case.partner_id)

    async def _tell(self, found: Interaction, decided: Decided) -> None:
        lines = [self._sentence(decided)]
        buttons = []
        if decided.may_take_over and decided.case is not None:
            lines.append("You can take it over all the same: then it is yours.")
            buttons.append(_take_over(decided.case.case_id))
        offered = isinstance(found, Click) and found.action is Action.TAKE_OVER
        await self._say(found, lines, buttons, replaces=offered)

    async def _say(
        self,
        found: Interaction,
        lines: Sequence[str],
        buttons: Sequence[Json] = (),
        *,
        replaces: bool = False,
    ) -> None:
        blocks = [_section(lines)]
        if buttons:
            blocks.append({"type": "actions", "elements": list(buttons)})
        said = {"text": "\n".join(lines)[:_SECTION], "blocks": blocks}
        await self._web.answer(found.place, found.account, said, replaces=replaces)

    async def _bring_up_to_date(self, place: Place, message: Json | None, decided: Decided) -> None:
        """Correct an old message. One that was true until now is changed by the relay."""
        if place.ts is None or decided.order.action is Action.TAKE_OVER:
            return
        if message is not None and (listed := showing.asking(message)):
            cases = await self._reading(lambda tx: tx.cases(listed))
            now = showing.settled(message, cases, self._house().name)
            if any(case.state is not State.OPEN for case in cases.values()):
                await self._web.replace(place, now)
            return
        case = decided.case
        if case is None or not (decided.is_stale or place.is_private):
            return
        instant, house = self._clock(), self._house()

        def look(tx: Transaction) -> Json | None:
            reader = showing.reader_of(tx, case.case_id, place) or decided.order.actor
            shown = showing.current(tx, case, house, reader, instant, self._web.base_url)
            return None if shown is None else shown.arguments()

        if (new := await self._reading(look)) is not None:
            await self._web.replace(place, new)


def _section(lines: Sequence[str]) -> Json:
    kept: list[str] = []
    room = _SECTION
    for line in lines:
        room -= len(line.encode("utf-16-le")) // 2 + 1
        if room < 0:
            kept.append("…")
            break
        kept.append(line)
    text = {"type": "mrkdwn", "text": "\n".join(kept), "verbatim": True}
    return {"type": "section", "text": text}


def _take_over(case_id: str) -> Json:
    return {
        "type": "button",
        "action_id": Action.TAKE_OVER.value,
        "text": {"type": "plain_text", "text": "Take over", "emoji": False},
        "value": case_id,
    }
