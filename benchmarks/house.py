"""The house that is measured: the sample policy, and a directory of 500 partners."""

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
from streams.store import Store

_EXAMPLES = Path(__file__).parent.parent / "examples"
# Of ten partners one is strategic and three are growing.
_TIERS = ("strategic", *["growth"] * 3, *["standard"] * 6)


class House:
    """Policy and directory, ready to decide with."""

    def __init__(self) -> None:
        self.policy = read_document(
            (_EXAMPLES / "policy.yaml").read_bytes(), "policy.yaml", Policy
        ).value
        compiled = compile_policy(self.policy, "benchmark")
        directory = Directory.model_validate(
            {
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
        )
        self.policies = PolicyHistory(((Instant(0), compiled),))
        self.recipients = Recipients(directory, compiled.calendars, compiled.default_tier)

    def handler(self, store: Store) -> Handler:
        """A handler as the service runs it: every source counts as read up to now."""
        watch = FeedWatch(self.policy)
        return Handler(store, self.policies, self.recipients, watch.horizon, watch.hear)
