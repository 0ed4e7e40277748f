"""An outbox entry is brought in line with what its people have got."""

from dataclasses import replace

from schemas.time import Instant
from streams.relay.again import first_time, next_tellings
from streams.relay.history import NOBODY, key_of
from streams.relay.passes import Pass
from streams.relay.reasons import Reason
from streams.relay.standing import seen_elsewhere
from streams.relay.waits import Waits
from streams.store import DeliveryStatus, OutboxEntry, OutboxStatus


def settle(effect_id: str, work: Pass, waits: Waits) -> None:
    """Write down whether an effect is done, and if not, when it is looked at again."""
    entry = work.history.entry(effect_id)
    match entry.status:
        case OutboxStatus.QUEUED:
            _settle_first(entry, work, waits)
        case OutboxStatus.SENT if entry.remind_at is not None:
            _settle_reminders(entry, work, waits)
        case _:
            pass


def _settle_first(entry: OutboxEntry, work: Pass, waits: Waits) -> None:
    effect, history = entry.effect, work.history
    addressing = work.addressed[effect.effect_id]
    progress = {p.person: history.progress(effect.effect_id, p.person) for p in addressing.people}
    entry = replace(
        entry,
        attempts=history.failures(effect.effect_id),
        last_error=history.last_error(effect.effect_id),
    )
    waiting = [(person, 0) for person, found in progress.items() if not found.is_settled]
    waiting += [
        (person, -number)
        for person in progress
        for number in seen_elsewhere(entry, person, work)
        if not history.progress(effect.effect_id, person, -number).is_settled
    ]
    if waiting:
        now = work.now, Reason.BACKING_OFF
        keys = (key_of(effect.effect_id, *one) for one in waiting)
        until, reason = min(waits.until(key) or now for key in keys)
        # What goes out in this very pass is written down when something came of it.
        if until > work.now or entry != history.entry(effect.effect_id):
            work.put(replace(entry, not_before=until, reason=reason.value))
        return
    told = [found.told_at for found in progress.values() if found.told_at is not None]
    missed = [person for person, found in progress.items() if found.gave_up]
    # Operations in somebody's place are told so that somebody sees to it: it is not done.
    reached = any(progress[p.person].told_at for p in addressing.people if not p.last_resort)
    if reached or (told and not missed):
        said = f"{', '.join(missed)}: {Reason.UNREACHABLE}" if missed else None
        sent = replace(entry, status=OutboxStatus.SENT, reason=said, not_before=None,
                       sent_at=max(told))  # fmt: skip
        work.put(replace(sent, remind_at=first_time(sent, work)))
    elif progress and all(found.dropped for found in progress.values()):
        reason_text = history.drop_reason(effect.effect_id)
        work.put(replace(entry, status=OutboxStatus.DROPPED, reason=reason_text, not_before=None))
    else:
        reason = Reason.UNREACHABLE if progress else Reason.NOBODY_HOME
        detail = " ".join((f"{reason}:", *addressing.steps))
        work.note(entry, NOBODY, DeliveryStatus.GIVEN_UP, detail)
        work.put(replace(entry, status=OutboxStatus.DEAD, reason=reason.value, not_before=None))
        work.report.dead += 1


def _settle_reminders(entry: OutboxEntry, work: Pass, waits: Waits) -> None:
    effect = entry.effect
    ats: list[Instant] = []
    done = [entry.reminders_sent]
    for addressee in work.addressed[effect.effect_id].people:
        done.append(work.history.reminded(effect.effect_id, addressee.person)[0])
        for number, at in next_tellings(entry, addressee.person, work):
            held = waits.until(key_of(effect.effect_id, addressee.person, number))
            ats.append(at if held is None else held[0])
    work.put(replace(entry, remind_at=min(ats, default=None), reminders_sent=max(done)))
