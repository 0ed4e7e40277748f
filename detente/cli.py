"""The `detente` command. A command's module is imported only when that command runs.

So `detente --help` and the quick commands stay quick, however much the others need.
"""

import importlib
import os
from difflib import get_close_matches
from typing import Any, NamedTuple

import click


class _Entry(NamedTuple):
    module: str
    """Below `detente.commands`."""
    attribute: str
    help: str
    """The line in `detente --help`; the command's own help says more."""


_SERVICE = {
    "serve": _Entry("serve", "serve", "Start the service: take events, watch deadlines, tell."),
    "worker": _Entry("worker", "worker", "Start a worker of a cluster, which reads Kafka."),
    "topics": _Entry("topics", "topics", "Make and show the Kafka topics of a cluster."),
    "relay": _Entry("relay", "relay", "Start a relay of a cluster, which tells people."),
    "intake": _Entry("intake", "intake", "Start an intake of a cluster: events by HTTP to Kafka."),
    "replay": _Entry("replay", "replay", "Try a policy on past events. Nobody is told."),
    "import": _Entry("import_", "import_", "Take events from a file or a table."),
    "token": _Entry("token", "token", "Who may send events from other machines."),
    "slack": _Entry("slack", "slack", "Which person a Slack account belongs to."),
    "migrate": _Entry("migrate", "migrate", "Bring the database to the newest schema."),
    "version": _Entry("version", "version", "Show which version this is."),
}
_CASES = {
    "cases": _Entry("cases", "cases", "List cases."),
    "case": _Entry("case", "case", "Show one case with its story."),
    "explain": _Entry(
        "explain", "explain_command", "Say why a case stands as it does, or why there is none."
    ),
    "ack": _Entry("verbs", "ack", "Say that you have seen a case and take care of it."),
    "assign": _Entry("verbs", "assign", "Give a case to somebody."),
    "escalate": _Entry("verbs", "escalate", "Take a case up one tier."),
    "deescalate": _Entry("verbs", "deescalate", "Take a case down one tier."),
    "waiting": _Entry("verbs", "waiting", "Say that a case waits for the partner's answer."),
    "snooze": _Entry("verbs", "snooze", "Let a case rest until a day or time."),
    "comment": _Entry("verbs", "comment", "Write a note on a case."),
    "dispute": _Entry("verbs", "dispute", "Say that a case is wrong, with evidence."),
    "decide-dispute": _Entry("verbs", "decide_dispute", "Say how a dispute ends."),
    "resolve": _Entry("verbs", "resolve", "Say that a case is solved, and what caused it."),
    "close": _Entry("verbs", "close", "Close a case: nothing more to do or to learn."),
    "reopen": _Entry("verbs", "reopen", "Open a case again."),
    "move": _Entry("verbs", "move", "Judge a case under the policy in force now."),
}
_PROMISES = {
    "sla": _Entry("sla", "sla", "List the clocks that run, soonest due first."),
    "touchpoints": _Entry(
        "touchpoints", "touchpoints", "Show the sessions that partners are promised."
    ),
    "evidence": _Entry("evidence", "evidence", "Print what a partner may be told of a case."),
    "digest": _Entry("digest", "digest", "Show how a week went with all partners."),
    "scorecard": _Entry("scorecard", "scorecard", "Show how a month went with a partner."),
}
_OPERATIONS = {
    "check": _Entry("check", "check", "Check policy and directory, and who could not be reached."),
    "feeds": _Entry("feeds", "feeds", "Show each source: last seen, and what waits for it."),
    "rejected": _Entry("rejected", "rejected", "List input that was not taken, or try it again."),
    "notify": _Entry("notify", "notify", "Try out whether people can be reached."),
    "outbox": _Entry("outbox", "outbox", "List what is told to whom, and what could not be."),
}
_SECTIONS = {
    "Run it": _SERVICE,
    "Work on cases": _CASES,
    "Keep promises": _PROMISES,
    "Look after it": _OPERATIONS,
}
_ENTRIES = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _LazyGroup(click.Group):
    """Imports a command when it is called, and ends every failure in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _ENTRIES.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"detente.commands.{entry.module}")
        command: click.Command = getattr(module, entry.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            for near in get_close_matches(args[0], _ENTRIES, 1):
                error.message += f" Did you mean {near}?"
            raise

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        for title, section in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            from detente.failures import explained

            raise explained(error) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Detente notices conflicts with partners and walks each one up until a person owns it.

    It reads order, delivery and ticket events, opens a case when a partner has reason to
    complain, and tells the people whose turn it is.
    """
    if any(name.startswith("DETENTE_") for name in os.environ):
        from detente.output import remark
        from detente.variables import warn_of_unread

        if warning := warn_of_unread(os.environ):
            remark(warning)


def main() -> None:
    """Run the command line."""
    cli(prog_name="detente")
