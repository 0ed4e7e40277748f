"""Slack inbound: buttons, modals and `/detente` become events, over Socket Mode or signed HTTP.

inbound = Inbound(store, writer, Decider(...), house, policy, clock, Web(session, token), reports)
socket = SocketMode(session, app_token, inbound, Random())    # await socket.run()
pages = routes(inbound, Signatures(signing_secret, clock))    # for aiohttp
"""

from streams.slack.deciding import Decider
from streams.slack.http import SIGNED_PAGES, Signatures, routes
from streams.slack.inbound import Inbound
from streams.slack.socket_mode import SocketMode
from streams.slack.web import Web

__all__ = ["SIGNED_PAGES", "Decider", "Inbound", "Signatures", "SocketMode", "Web", "routes"]
