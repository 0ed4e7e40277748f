"""What whoever runs Detente must see to, told to the role operations.

Each alarm is told once: what it is about is remembered in the store until it is over, so that
neither the next look nor a restart repeats it.
"""

from collections.abc import Iterator

from notifiers.render import moment
from rules.decision import Changes, Effect, EffectKind, Kind
from rules.effects import news_effect
from rules.policy import CompiledPolicy
from schemas.policy import OPERATIONS
from schemas.time import Instant
from streams.horizon import FeedWatch, horizon_of_file
from streams.store import RejectedState, Store, Transaction

_FEED = "alarm.feed."
_HELD = "alarm.held"
_REJECTED = "alarm.rejected"
_LOOK = 1_000  # pieces of rejected input that one look reads


class Alarms:
    """Looks at feeds, held deadlines and set-aside input. Runs on the writing thread."""

    def __init__(self, store: Store, watch: FeedWatch, policy: CompiledPolicy) -> None:
        self._store = store
        self._watch = watch
        self._policy = policy
        self._zone = policy.default_calendar.zone.key

    def look(self, now: Instant) -> int:
        """Queue an effect for each new alarm. Returns how many."""
        settings: dict[str, str] = {}
        with self._store.reading() as tx:
            effects = [
                *self._feeds(tx, now, settings),
                *self._held(tx, now, settings),
                *self._set_aside(tx, now, settings),
            ]
        if settings or effects:
            with self._store.transaction() as tx:
                for key, value in settings.items():
                    tx.put_setting(key, value)
                tx.write(Changes(effects=effects))
        return len(effects)

    # -- feeds ---------------------------------------------------------------------------------

    def _feeds(self, tx: Transaction, now: Instant, settings: dict[str, str]) -> Iterator[Effect]:
        as_of = self._watch.as_of(now)
        for source, declared in self._policy.document.sources.items():
            if declared.cadence is None:
                continue
            heard = self._watch.heard.get(source)
            last = None if heard is None else heard.recorded_at
            # While we were away nobody could send: its time counts from our return.
            since = max(self._watch.up_since, last or 0)
            is_silent = as_of > since + declared.cadence.amount
            told = tx.setting(_FEED + source) or ""
            if is_silent and not told:
                settings[_FEED + source] = str(since)
                ever = f"nothing since {self._at(last)}" if last else "nothing at all yet"
                yield self._effect(
                    f"feed|{source}|{since}",
                    now,
                    f"{source} is silent: {ever}, and it should send every {declared.cadence}",
                    ["Deadlines that wait for its word are held until it speaks again."],
                    source,
                )
            elif told and not is_silent:
                settings[_FEED + source] = ""
                yield self._effect(
                    f"feed again|{source}|{told}",
                    now,
                    f"{source} speaks again, since {self._at(last)}",
                    ["Deadlines that were held for it are decided now."],
                    source,
                )

    # -- held deadlines ------------------------------------------------------------------------

    def _held(self, tx: Transaction, now: Instant, settings: dict[str, str]) -> Iterator[Effect]:
        patience = self._policy.document.patience.held_alarm_after
        # Where they would be decided if every feed spoke; what lies between is held.
        usual = horizon_of_file(self._policy.document, now - 1 - patience.amount)
        actual = self._watch.horizon(now)
        held = {
            kind: tx.count_held(kind, Instant(actual.feeds(kind)), Instant(usual.feeds(kind)))
            for kind in Kind
            if actual.feeds(kind) < usual.feeds(kind)
        }
        count = sum(held.values())
        told = tx.setting(_HELD) or ""
        # What fell due while we were away is held only since we are back.
        if count and not told and now > self._watch.up_since + patience.amount:
            settings[_HELD] = str(now)
            silent = [
                r.source
                for r in self._watch.reports(self._watch.as_of(now))
                if r.is_silent or r.in_grace or r.is_shut
            ]
            why = [f"{n} about {kind}s" for kind, n in held.items() if n]
            yield self._effect(
                f"held|{now}",
                now,
                f"{count} {'deadline is' if count == 1 else 'deadlines are'} held for more than "
                f"{patience}, waiting for {', '.join(silent) or 'input'}",
                [*why, "Nobody is called late for want of a report. See: detente feeds"],
                "held deadlines",
            )
        elif told and not count:
            settings[_HELD] = ""

    # -- what was set aside --------------------------------------------------------------------

    def _set_aside(
        self, tx: Transaction, now: Instant, settings: dict[str, str]
    ) -> Iterator[Effect]:
        told = int(tx.setting(_REJECTED) or 0)
        rows = tx.list_rejected(RejectedState.KEPT, _LOOK, told)
        if not rows:
            return
        settings[_REJECTED] = str(rows[-1].id)
        failed = [row for row in rows if row.entry.kind == "deciding failed"]
        if failed:
            first = failed[0].entry
            more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
            yield self._effect(
                f"set aside|{failed[0].id}",
                now,
                f"set aside, since it could not be decided: {first.subject or first.input}{more}",
                [first.reason, "What follows waits for it. See: detente rejected"],
                "set aside",
            )
        if any(row.entry.kind == "unknown type" for row in rows):
            for counter in tx.counters("unknown type"):
                # Named after the type alone, so that each is told once and no more.
                yield self._effect(
                    f"unknown type|{counter.name}",
                    now,
                    f"set aside: events of the type {counter.name}, which is not known",
                    ["They are kept. See: detente rejected"],
                    "set aside",
                )

    # -- in words ------------------------------------------------------------------------------

    def _at(self, instant: Instant | None) -> str:
        return "now" if instant is None else moment(instant, self._zone)

    @staticmethod
    def _effect(name: str, now: Instant, headline: str, why: list[str], subject: str) -> Effect:
        text: dict[str, object] = {"headline": headline, "why": why, "subject": subject}
        return news_effect(f"alarm|{name}", EffectKind.OPERATIONS, OPERATIONS, name, now, text)
