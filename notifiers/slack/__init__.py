"""Slack: one message about a case in a channel, changed in place, with its history in the thread.

notifier = from_environment(os.environ, session)
notifiers = {"slack": notifier, ...}
"""

from notifiers.slack.blocks import Action
from notifiers.slack.notifier import SlackNotifier, from_environment

__all__ = ["Action", "SlackNotifier", "from_environment"]
