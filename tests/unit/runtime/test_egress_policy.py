"""What may be reached: tables at their edges, the allow-list's order of judgement, its text form."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.addresses import classify
from shared.domain.errors import InvalidInput
from shared.runtime.egress.policy import EgressPolicy, check_url, format_allow
from shared.runtime.egress.settings import EgressSettings
from shared.runtime.egress.trouble import EgressRefused

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
FINAL = [
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",
    "224.0.0.1",
    "fd00:ec2::254",
    "fe80::1",
    "::",
]


@pytest.mark.parametrize(
    "address", [*FINAL, "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::a9fe:a9fe"]
)
def test_what_holds_credentials_is_blocked_for_good_in_every_spelling(address: str) -> None:
    verdict = classify(address)
    assert verdict.blocked
    assert verdict.final
    with pytest.raises(EgressRefused):
        EgressPolicy.parse("any.example:*,0.0.0.0/0:*,[::/0]:*").refuse_address(address, host="any.example", port=80)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "172.16.0.1", "192.168.1.1", "100.64.0.1"]
)
def test_what_is_private_is_blocked_until_the_operator_says_otherwise(address: str) -> None:
    verdict = classify(address)
    assert (verdict.blocked, verdict.final) == (True, False)
    EgressPolicy.parse("any.example:80").refuse_address(address, host="any.example", port=80)
    for elsewhere in ("other.example:80", "any.example:81"):
        with pytest.raises(EgressRefused):
            EgressPolicy.parse(elsewhere).refuse_address(address, host="any.example", port=80)


@pytest.mark.parametrize("text", ["", "nonsense", "1.2.3", "0x7f000001", "fe80::1%eth0", "2001:4860:4860::8888%eth0"])
def test_what_is_no_plain_address_is_blocked_for_good(text: str) -> None:
    assert classify(text).final


@given(V4)
def test_an_address_carried_in_ipv6_is_never_freer_than_itself(address: IPv4Address) -> None:
    inner, number = classify(address), int(address)
    mapped = classify(IPv6Address((0xFFFF << 32) | number))
    assert (mapped.blocked, mapped.final) == (inner.blocked, inner.final)
    nat64, six_to_four = (
        classify(IPv6Address((0x64FF9B << 96) | number)),
        classify(IPv6Address((0x2002 << 112) | (number << 80))),
    )
    isatap = classify(IPv6Address((0x2A00 << 112) | (0x5EFE << 32) | number))
    for carrier in (nat64, six_to_four, isatap):
        assert carrier.blocked
        assert carrier.final or not inner.final


@given(st.one_of(V4, V6))
def test_the_tables_are_at_least_as_strict_as_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    # One exception by design: mapped addresses are judged by what they carry.
    if address.is_private and not (isinstance(address, IPv6Address) and address.ipv4_mapped):
        assert classify(address).blocked


@given(
    st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "fc00::/7", "fe80::/10"]), st.data()
)
def test_every_address_of_a_blocked_network_is_blocked(cidr: str, data: st.DataObject) -> None:
    network = ip_network(cidr)
    offset = data.draw(st.integers(0, network.num_addresses - 1))
    assert classify(network[offset]).blocked


HOST_ENTRIES = st.one_of(
    st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z]{2,8}){0,2}", fullmatch=True),
    V4.map(str),
    V6.map(lambda address: f"[{address}]"),
    st.integers(0, 32).map(
        lambda bits: f"{ip_network((0x0A000000 >> (32 - bits) << (32 - bits) if bits else 0, bits))}"
    ),
)


@given(st.lists(st.tuples(HOST_ENTRIES, st.one_of(st.just("*"), st.integers(1, 65535).map(str))), max_size=5))
def test_the_allow_lists_text_reads_back_as_itself(entries: list[tuple[str, str]]) -> None:
    policy = EgressPolicy.parse(" , ".join(f"{host}:{port}" for host, port in entries))
    assert EgressPolicy.parse(format_allow(policy.allow)) == policy


@pytest.mark.parametrize(
    "text",
    [
        "host",
        "host:",
        "host:0",
        "host:70000",
        "::1:80",
        "[10.0.0.1]:80",
        "10.0.0.1/8:80",
        "a b:80",
        "http://a:80",
        ":80",
    ],
)
def test_an_allow_list_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(InvalidInput):
        EgressPolicy.parse(text)
    with pytest.raises(ValueError, match="UPSHOT_EGRESS_ALLOW"):
        EgressSettings(allow=text)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "redis", "printer.local", "a.internal", "127.0.0.1", "[::1]"]
)
def test_saving_a_local_host_is_refused_with_the_way_out_named(host: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_url(f"http://{host}/", pointer="#/url")
    assert "UPSHOT_EGRESS_ALLOW" in caught.value.flaws[0].detail
    # And the way out is one.
    check_url(f"http://{host}/", EgressPolicy.parse(f"{host.lower()}:80"))


@pytest.mark.parametrize(
    "host", ["metadata.google.internal", "metadata", "metadata.goog.", "instance-data.ec2.internal"]
)
def test_a_metadata_name_has_no_way_out(host: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_url(f"http://{host}/", EgressPolicy.parse(f"{host}:*,0.0.0.0/0:*"))
    assert "never called" in caught.value.flaws[0].detail


@pytest.mark.parametrize(
    ("port", "allowed"), [(80, True), (443, True), (8080, True), (3000, True), (22, False), (25, False), (6379, False)]
)
def test_ports_of_other_services_are_refused_unless_allowed(port: int, allowed: bool) -> None:
    url = f"http://hooks.example.com:{port}/"
    if allowed:
        check_url(url)
        return
    with pytest.raises(InvalidInput):
        check_url(url)
    check_url(url, EgressPolicy.parse(f"hooks.example.com:{port}"))


def test_a_name_in_an_allowed_network_is_judged_by_its_address() -> None:
    policy = EgressPolicy.parse("10.1.0.0/16:9200")
    target = check_url("http://search:9200/", policy)
    policy.refuse_address(IPv4Address("10.1.2.3"), host=target.host, port=target.port)
    for elsewhere in ("10.2.0.1", "8.8.8.8"):
        with pytest.raises(EgressRefused):
            policy.refuse_address(IPv4Address(elsewhere), host=target.host, port=target.port)
