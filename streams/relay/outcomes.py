"""What came of a letter is written down, and says how long its route is left alone."""

from random import Random
from typing import assert_never

from notifiers.notifier import Failed, Outcome, Retry, Sent
from streams.relay.backoff import Backoff
from streams.relay.letters import Job, Letter
from streams.relay.passes import Pass
from streams.relay.proofs import Proofs
from streams.relay.reasons import Reason
from streams.relay.waits import Waits
from streams.store import DeliveryRow, DeliveryStatus


class Outcomes:
    """Takes in what notifiers answer. `random` jitters the back-off."""

    def __init__(self, waits: Waits, backoff: Backoff, random: Random, proofs: Proofs) -> None:
        self._waits, self._backoff, self._random = waits, backoff, random
        self._proofs = proofs

    def take_in(self, letter: Letter, outcome: Outcome, work: Pass) -> None:
        """Write down what came of a letter."""
        route = letter.jobs[0].route
        self._waits.had_turn(letter)
        match outcome:
            case Sent(reference, rest):
                if rest is not None:
                    self._waits.keep_pace(route, rest)
                if letter.is_silent:
                    self._end_silently(letter, work)
                    return
                work.report.messages += 1
                for job in letter.jobs:
                    work.report.sent += 1
                    work.report.reminded += job.reminder > 0
                    work.report.bundled += letter.bundle_id is not None
                    self._proofs.note(job.person, route, self._waits.now, None)
                    detail = job.how_found(work.addressed)
                    self._add(job, letter.status, detail, letter, work, reference)
            case Retry(_, int() as after, own_turn=True):
                work.report.failed += 1
                self._waits.put_off(letter, self._waits.rest(route, after), work)
            case Retry(reason, asked):
                work.report.failed += 1
                attempt = 1 + max(job.attempts for job in letter.jobs)
                wait = self._backoff.wait(attempt, self._random, asked)
                self._waits.rest(route, self._backoff.first if asked is None else asked)
                for job in letter.jobs:
                    self._add(job, DeliveryStatus.FAILED, reason, letter, work)
                    if job.attempts + 1 < self._backoff.most(is_last=job.is_last):
                        self._waits.back_off(job, wait)
                    elif letter.is_silent:
                        self._end_silently(letter, work)
                    else:
                        self._proofs.note(job.person, route, self._waits.now, reason)
                        detail = f"last of too many: {reason}"
                        self._add(job, DeliveryStatus.GIVEN_UP, detail, letter, work)
            case Failed(reason):
                work.report.failed += 1
                for job in letter.jobs:
                    self._proofs.note(job.person, route, self._waits.now, reason)
                    status = DeliveryStatus.FAILED if letter.is_silent else DeliveryStatus.GIVEN_UP
                    self._add(job, status, reason, letter, work)
                if letter.is_silent:
                    self._end_silently(letter, work)
            case _:
                assert_never(outcome)

    def _end_silently(self, letter: Letter, work: Pass) -> None:
        """Nobody was told anything, whether or not what they see could be put right."""
        for job in letter.jobs:
            entry = work.history.entry(job.effect.effect_id)
            reason = Reason.PUT_RIGHT if job.reminder < 0 else Reason.OWN_CHANGE
            work.drop_person(entry, job.person, job.reminder, reason)

    def share(self, letter: Letter, told: list[DeliveryRow], work: Pass) -> None:
        """Record that a person reads what somebody else was told at the same place."""
        for job, row in zip(letter.jobs, told, strict=True):
            work.report.sent += 1
            work.report.reminded += job.reminder > 0
            self._proofs.note(job.person, job.route, self._waits.now, None)
            detail = f"stands where {work.house.name(row.person)} was told"
            self._add(job, letter.status, detail, letter, work, row.reference)

    def _add(
        self,
        job: Job,
        status: DeliveryStatus,
        detail: str | None,
        letter: Letter,
        work: Pass,
        reference: str | None = None,
    ) -> None:
        work.add(
            DeliveryRow(
                seq=job.seq,
                effect_id=job.effect.effect_id,
                idempotency_key=job.key,
                case_id=job.effect.case_id,
                person=job.person,
                route=job.route_name,
                status=status,
                at=self._waits.now,
                attempt=job.progress.tries + 1,
                bundle_id=letter.bundle_id,
                detail=detail,
                reference=reference,
            )
        )
