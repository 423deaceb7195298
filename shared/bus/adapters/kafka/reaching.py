"""How brokers are reached, and in one clear sentence why they are not.

`client_options` is what every aiokafka client is made with; `why_not` tries each broker by itself and says what it met:
aiokafka only logs the reason and reports that it could not begin. Next: `link.py`.
"""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.conn import collect_hosts, create_conn

from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.errors import PermanentError, TransientError

_RETRY_SECONDS = 1.0
_CLOSING_SECONDS_MAX = 1.0
_METADATA_MAX_AGE_MS = 60_000


def client_options(settings: KafkaSettings, *, request_timeout_seconds: float | None = None) -> dict[str, Any]:
    """Keyword arguments of aiokafka's clients, of all kinds alike. `PermanentError`: a TLS file that cannot be used."""
    timeout = settings.request_timeout_seconds if request_timeout_seconds is None else request_timeout_seconds
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": "upshot",
        "request_timeout_ms": int(timeout * 1000),
        "metadata_max_age_ms": _METADATA_MAX_AGE_MS,
        "retry_backoff_ms": 100,
        **_security(settings),
    }


def _security(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls_context(settings)
    if settings.security_protocol.startswith("SASL"):
        if not settings.sasl_user or settings.sasl_password is None:
            raise PermanentError(
                f"UPSHOT_KAFKA_SECURITY_PROTOCOL={settings.security_protocol} needs UPSHOT_KAFKA_SASL_USER and "
                "UPSHOT_KAFKA_SASL_PASSWORD"
            )
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_user
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def _tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.tls_ca_file is not None:
        context = _loaded("UPSHOT_KAFKA_TLS_CA_FILE", settings.tls_ca_file, _trusting)
    if settings.tls_cert_file is not None:
        password = settings.tls_key_password.get_secret_value() if settings.tls_key_password is not None else None
        key_file = settings.tls_key_file
        _loaded(
            "UPSHOT_KAFKA_TLS_CERT_FILE or UPSHOT_KAFKA_TLS_KEY_FILE",
            settings.tls_cert_file,
            lambda path: context.load_cert_chain(path, key_file, password),
        )
    return context


def _trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def _loaded(variable: str, path: Path, load: Any) -> Any:  # whatever `load` gives
    try:
        return load(path)
    except (OSError, ssl.SSLError) as error:
        raise PermanentError(f"{variable}: {path} cannot be used: {error}") from error


async def why_not(settings: KafkaSettings) -> TransientError | PermanentError:
    """Why no broker lets us begin: of several reasons the one that waiting does not mend comes first."""
    reasons = [await _reason(settings, host, port) for host, port, _ in collect_hosts(settings.bootstrap_servers)]
    for reason in reasons:
        if isinstance(reason, PermanentError):
            return reason
    return reasons[0]


async def _reason(settings: KafkaSettings, host: str, port: int) -> TransientError | PermanentError:
    where = f"the Kafka broker at {host}:{port}"
    options = client_options(settings)
    for name in ("bootstrap_servers", "metadata_max_age_ms", "retry_backoff_ms"):
        del options[name]
    try:
        connection = await create_conn(host, port, **options)
    except socket.gaierror:
        return _transient(f"the name of {where} is not known here: check UPSHOT_KAFKA_BOOTSTRAP_SERVERS")
    except ssl.SSLCertVerificationError as error:
        return PermanentError(
            f"the certificate of {where} is not trusted ({error.verify_message}): check UPSHOT_KAFKA_TLS_CA_FILE"
        )
    except ssl.SSLError as error:
        return PermanentError(
            f"{where} does not speak TLS as asked ({error.reason}): check UPSHOT_KAFKA_SECURITY_PROTOCOL"
            f" ({settings.security_protocol}), UPSHOT_KAFKA_TLS_CERT_FILE and the port"
        )
    except kafka_errors.UnsupportedSaslMechanismError:
        return PermanentError(f"{where} does not take UPSHOT_KAFKA_SASL_MECHANISM={settings.sasl_mechanism}")
    except (kafka_errors.SaslAuthenticationFailed, kafka_errors.AuthenticationFailedError):
        return PermanentError(
            f"{where} refuses the user {settings.sasl_user}: check UPSHOT_KAFKA_SASL_USER and UPSHOT_KAFKA_SASL_PASSWORD"
        )
    except TimeoutError:
        return _transient(f"{where} does not answer within {settings.request_timeout_seconds:g} s")
    except ConnectionRefusedError:
        return _transient(f"{where} is away: nothing listens there")
    except (OSError, kafka_errors.KafkaError) as error:
        return _transient(
            f"{where} ends the connection at once ({described(error)}): it may be starting, or expect another "
            f"UPSHOT_KAFKA_SECURITY_PROTOCOL than {settings.security_protocol}"
        )
    connection.close()
    return _transient(f"{where} was away for a moment")


def _transient(detail: str) -> TransientError:
    return TransientError(detail, retry_after_seconds=_RETRY_SECONDS)


async def closed(thing: Any) -> None:  # a part of aiokafka, which has no types
    """Close it, and wait a moment for that: behind a network that hangs, parts of aiokafka wait for one another for ever."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS_MAX):
            await thing.close()


def described(error: BaseException) -> str:
    """The error's own words without aiokafka's repetitions; its name where it has none."""
    words = str(error).replace(f"{type(error).__name__}: ", "").strip()
    return words or type(error).__name__
