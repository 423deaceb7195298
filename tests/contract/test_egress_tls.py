"""Certificates are verified, against the system's authorities and those the operator adds."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.runtime.clock import SystemClock
from shared.runtime.egress import EgressSettings, OutgoingClient, OutgoingRequest, ReceiverUnreachable
from shared.testing.receivers import ScriptedNames, receiver

CLOCK = SystemClock()
NAMES = {"hooks.example.com": [["127.0.0.1"]], "other.example.com": [["127.0.0.1"]]}


def _certificate(folder: Path, name: str, *, expired: bool = False) -> tuple[ssl.SSLContext, Path]:
    """A server context for `name`, self-signed, and its certificate as a file of authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    end = start + timedelta(days=1 if expired else 36_500)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, pair = folder / "authority.pem", folder / "pair.pem"
    public = certificate.public_bytes(serialization.Encoding.PEM)
    authority.write_bytes(public)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.write_bytes(private + public)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    return context, authority


@pytest.mark.parametrize(
    ("host", "trusted", "expired", "says"),
    [
        ("hooks.example.com", True, False, None),
        ("hooks.example.com.", True, False, None),
        ("hooks.example.com", False, False, "self-signed certificate"),
        ("other.example.com", True, False, "Hostname mismatch"),
        ("hooks.example.com", True, True, "certificate has expired"),
    ],
)
async def test_only_a_trusted_current_certificate_of_the_urls_host_is_accepted(
    tmp_path: Path, *, host: str, trusted: bool, expired: bool, says: str | None
) -> None:
    context, authority = _certificate(tmp_path, "hooks.example.com", expired=expired)
    async with receiver(CLOCK, tls=context) as it:
        settings = EgressSettings(
            allow=f"hooks.example.com:{it.port},other.example.com:{it.port}", ca_file=authority if trusted else None
        )
        async with await OutgoingClient.open(settings, clock=CLOCK, resolver=ScriptedNames(NAMES)) as client:
            call = client.send(OutgoingRequest(method="POST", url=it.url("/hook", host=host), timeout_seconds=5))
            if says is None:
                assert (await call).status == 200
                return
            with pytest.raises(ReceiverUnreachable, match=says) as caught:
                await call
            assert caught.value.kind == "tls"
            assert it.requests == []


async def test_plain_http_behind_an_https_url_is_a_tls_failure() -> None:
    async with receiver(CLOCK) as it:
        settings = EgressSettings(allow=f"hooks.example.com:{it.port}")
        async with await OutgoingClient.open(settings, clock=CLOCK, resolver=ScriptedNames(NAMES)) as client:
            with pytest.raises(ReceiverUnreachable) as caught:
                await client.send(
                    OutgoingRequest(method="POST", url=f"https://hooks.example.com:{it.port}/", timeout_seconds=5)
                )
    assert caught.value.kind == "tls"
