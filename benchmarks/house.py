"""The house that is measured: the sample policy, and a directory of 500 partners."""

import json
from pathlib import Path

from benchmarks.load import PARTNERS, partner
from rules.policy import PolicyHistory, compile_policy
from rules.recipients import Recipients
from schemas.directory import Directory
from schemas.documents import read_document
from schemas.policy import Policy
from schemas.time import Instant
from streams.handler import Handler
from streams.horizon import FeedWatch
from streams.knowledge import digest_of
from streams.store import Store

_EXAMPLES = Path(__file__).parent.parent / "examples"
# Of ten partners one is strategic and three are growing.
_TIERS = ("strategic", *["growth"] * 3, *["standard"] * 6)


class House:
    """Policy and directory, ready to decide with."""

    def __init__(self, *, warns: bool = True) -> None:
        """`warns` as the sample policy does; else nobody is warned before a promise breaks."""
        self._policy_body = (_EXAMPLES / "policy.yaml").read_bytes()
        self.policy = read_document(self._policy_body, "policy.yaml", Policy).value
        if not warns:
            quiet = {"warn": (), "stale_pause_after": None}
            clocks = self.policy.clocks.model_copy(update=quiet)
            self.policy = self.policy.model_copy(update={"clocks": clocks})
        compiled = compile_policy(self.policy, "benchmark")
        directory = {
            "people": {
                name: {"name": name, "routes": [{"kind": "terminal"}]}
                for name in ("anna", "claire", "david", "opsdesk")
            },
            "roles": {
                "account_manager": "anna",
                "partnership_manager": "claire",
                "executive_sponsor": "david",
                "operations": "opsdesk",
            },
            "partners": {
                partner(n): {
                    "tier": _TIERS[n % 10],
                    "calendar": "new_york" if n % 5 == 0 else "default",
                }
                for n in range(PARTNERS)
            },
        }
        self._directory_body = json.dumps(directory).encode()
        self.policies = PolicyHistory(((Instant(0), compiled),))
        self.recipients = Recipients(
            Directory.model_validate(directory), compiled.calendars, compiled.default_tier
        )

    def handler(self, store: Store) -> Handler:
        """A handler as the service runs it: every source counts as read up to now."""
        watch = FeedWatch(self.policy)
        return Handler(store, self.policies, self.recipients, watch.horizon, watch.hear)

    def adopt(self, store: Store) -> None:
        """Put policy and directory into a store, for workers that read them there."""
        start = Instant(0)
        with store.transaction() as tx:
            tx.add_policy(digest_of(self._policy_body), self._policy_body, start, start)
            tx.add_directory(digest_of(self._directory_body), self._directory_body, start, start)
