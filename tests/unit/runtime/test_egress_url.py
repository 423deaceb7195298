"""The strict parser: what it accepts every other parser reads alike; the rest it refuses, and never otherwise."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from shared.domain.errors import InvalidInput
from shared.runtime.egress.url import URL_CHARACTERS_MAX, parse_url

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda text: text[2:4] != "--")
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
PATHS = st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=30).map(lambda text: f"/{text}".replace("//", "/"))
# Everything that has ever been used to show one host to a checker and another to a dialler.
TRICKS = st.text("htps:/\\@?#[]%.0127xaf٠１。ſ-_ \t\r\n\x00localhost", max_size=40)


@pytest.mark.parametrize(
    ("text", "host", "port", "path_qs", "host_header"),
    [
        ("https://Hooks.Example.com", "hooks.example.com", 443, "/", "hooks.example.com"),
        ("HTTP://hooks.example.com:80/a?b", "hooks.example.com", 80, "/a?b", "hooks.example.com"),
        ("https://hooks.example.com.:8443?x=1", "hooks.example.com", 8443, "/?x=1", "hooks.example.com:8443"),
        ("http://hooks.example.com:443/", "hooks.example.com", 443, "/", "hooks.example.com:443"),
        ("https://bücher.example/hook#part", "xn--bcher-kva.example", 443, "/hook", "xn--bcher-kva.example"),
        ("https://my_service.example/", "my_service.example", 443, "/", "my_service.example"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2001:4860:4860:0::8888]:444/", "2001:4860:4860::8888", 444, "/", "[2001:4860:4860::8888]:444"),
        (
            "https://a.example/%7e/%41?u=http://b.example/@c",
            "a.example",
            443,
            "/%7e/%41?u=http://b.example/@c",
            "a.example",
        ),
    ],
)
def test_what_is_accepted_is_canonical_and_its_path_untouched(
    text: str, host: str, port: int, path_qs: str, host_header: str
) -> None:
    target = parse_url(text)
    assert (target.host, target.port, target.path_qs, target.host_header) == (host, port, path_qs, host_header)
    assert target.original == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "absolute URL"),
        ("hooks.example.com/x", "absolute URL"),
        ("//hooks.example.com/x", "absolute URL"),
        ("ftp://hooks.example.com/", "only http and https"),
        ("https://user:pass@hooks.example.com/", "user names and passwords"),
        ("https://hooks.example.com\\@10.0.0.1/", "backslashes"),
        ("https://hooks.example.com/a b", "spaces"),
        ("https://hooks.example.com/ü", "percent-encode"),
        ("https://hooks.example.com/%zz", "percent-encode"),
        ("https://hooks.example.com:0/", "port"),
        ("https://hooks.example.com:65536/", "port"),
        ("https://hooks.example.com:٨٠/", "port"),
        ("https://hooks.example.com:/", "port"),
        ("https:///x", "host is missing"),
        ("https://[fe80::1%25eth0]/", "zone ids"),
        ("https://[fe80::1%eth0]/", "zone ids"),
        ("https://[10.0.0.1]/", "no IPv6 address"),
        ("https://2001:db8::1/", "in brackets"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://127.0x1/", "four decimal numbers"),
        ("https://1.2.3.4./", "no trailing dot"),
        ("https://a..example/", "no valid name"),
        ("https://-a.example/", "no valid name"),
        (f"https://{'a' * 64}.example/", "no valid name"),
        (f"https://{'a.' * 130}example/", "at most 253"),
        ("https://xn--\x61\x61\x61-.example/", "no valid name"),
        ("https://xn--0.example/", "punycode"),
        ("https://１２７.０.０.１/", "characters that no host name may have"),
        ("https://127。0。0。1/", "characters that no host name may have"),
        ("https://\ud800.example/", "characters that no host name may have"),
        ("https://locaLhoſt/", "characters that no host name may have"),
        ("https://a.example/" + "x" * URL_CHARACTERS_MAX, "at most 2048 characters"),
    ],
)
def test_what_is_refused_says_what_to_mend(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_url(text, pointer="#/endpoint/url")
    [flaw] = caught.value.flaws
    assert flaw.pointer == "#/endpoint/url"
    assert says in flaw.detail


def test_neither_a_target_nor_a_flaw_shows_the_secret_part() -> None:
    assert "s3cret" not in repr(parse_url("https://hooks.example.com/s3cret?k=s3cret"))
    with pytest.raises(InvalidInput) as caught:
        parse_url("https://hooks.example.com:x/s3cret")
    assert "s3cret" not in str(caught.value)


@given(host=HOSTS, path=PATHS, port=st.integers(1, 65535))
def test_an_ordinary_url_is_read_as_every_parser_reads_it(host: str, path: str, port: int) -> None:
    text = f"https://{host}:{port}{path}"
    target = parse_url(text)
    assert (target.host, target.port) == (urlsplit(text).hostname, urlsplit(text).port) == (host, port)
    assert (target.scheme, target.path_qs) == ("https", path)


@given(st.one_of(st.text(), TRICKS, st.tuples(st.sampled_from(["http://", "https://"]), TRICKS).map("".join)))
def test_any_text_is_refused_or_read_alike_by_three_parsers(text: str) -> None:
    try:
        target = parse_url(text)
    except InvalidInput:
        return
    others = {urlsplit(text).hostname, URL(text).raw_host}
    assert {str(other).removesuffix(".") for other in others} <= {target.host, _long_form(text, target.host)}
    assert URL(text).port == target.port
    # What was canonical stays so.
    again = parse_url(f"{target.scheme}://{target.host_header}{target.path_qs}")
    assert (again.host, again.port, again.path_qs) == (target.host, target.port, target.path_qs)


def _long_form(text: str, host: str) -> str:
    """urllib keeps the spelling of IPv6 addresses and of names beyond ASCII."""
    given_host = (urlsplit(text).hostname or "").removesuffix(".")
    return given_host if ":" in host or not given_host.isascii() else host
