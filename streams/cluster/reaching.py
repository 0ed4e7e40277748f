"""Whether the brokers let us in, and which setting to look at when they do not.

aiokafka only says that it found nobody to begin with; why stands in its log, if at all. So before
a client is started one connection is made as it would make it.
"""

import asyncio
import ssl

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.cluster.clients import client_arguments
from streams.cluster.settings import PREFIX, KafkaSettings

#: Seconds that each broker gets: two round trips, and four more for TLS and SASL.
_WITHIN = 10.0
# Trying again does not help against these; what else goes wrong may be the broker's.
_REFUSALS = (
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    ssl.SSLError,
)
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class BrokersError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka ships no types
    """None of the brokers lets us in; the message says why, and names the settings to look at."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotLetInError(BrokersError):
    """A broker is there and refuses us: the settings are wrong."""


async def reach(kafka: KafkaSettings) -> None:
    """Return once one of the brokers that are named has let us in and answered.

    Raises BrokersError, NotLetInError when one of them refuses us, or ClusterSettingsError when a
    certificate cannot be read.
    """
    arguments = client_arguments(kafka)
    reasons = []
    is_refused = False
    for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers")):
        try:
            async with asyncio.timeout(_WITHIN):
                connection = await create_conn(host, port, **arguments)
                try:
                    # The first thing that somebody who is not known is not told.
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except (KafkaError, OSError, TimeoutError) as found:
            error: Exception = found
            if isinstance(found, KafkaConnectionError) and isinstance(found.__cause__, OSError):
                # TLS 1.3: the broker judges our certificate after its beginning.
                error = found.__cause__
            is_refused |= isinstance(error, _REFUSALS) and not isinstance(error, _BROKEN_OFF)
            reasons.append(f"{host}:{port} {_why(kafka, error)}")
        else:
            return
    raise (NotLetInError if is_refused else BrokersError)("; ".join(reasons))


def _why(kafka: KafkaSettings, error: Exception) -> str:
    match error:
        case SaslAuthenticationFailed():
            return f"refuses the user or password: {_look('user', 'password', 'sasl')}"
        case UnsupportedSaslMechanismError():
            return f"does not offer {kafka.sasl}: {_look('sasl')}"
        case IllegalSaslStateError():
            return f"wants no user and password: {_look('sasl', 'brokers')}"
        case ssl.SSLCertVerificationError():
            reason = error.verify_message.rstrip(".")
            return f"is not trusted, {reason}: {_look('tls_ca', 'brokers')}"
        case ssl.SSLError():
            reason = (error.reason or str(error)).replace("_", " ").lower()
            return f"refuses TLS, {reason}: {_look('tls', 'tls_certificate', 'tls_key')}"
        case TimeoutError():
            return f"gives no answer within {_WITHIN:g} s: {_look('brokers', 'tls')}"
        case ConnectionResetError() if kafka.tls:
            return f"breaks off TLS: {_look('tls', 'brokers')}"
        case OSError():
            return f"cannot be reached, {error.strerror or error}: {_look('brokers')}"
        case KafkaConnectionError():
            # A broker does not say what it misses in somebody who begins in another way.
            missing = () if kafka.sasl else ("sasl",)
            return f"closes the connection: {_look('tls', *missing, 'brokers')}"
        case _:
            return f"says {error}"


def _look(*names: str) -> str:
    return f"look at {', '.join(PREFIX + name.upper() for name in names)}"
