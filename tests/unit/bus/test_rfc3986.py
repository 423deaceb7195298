"""URIs and references to them, by the grammar of RFC 3986, appendix A."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import rfc3986

URIS = [
    *("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:cncf-wg-serverless@lists.cncf.io", "tag:x,2020:y"),
    *(
        "https://github.com/cloudevents",
        "http://u:p@h:80/p;v=1/%C3%A9?q=/?&r#f/?",
        "http://h?x",
        "http:",
        "file:///etc",
    ),
    *("http://[::1]/", "http://[::ffff:1.2.3.4]:8/", "http://[v1.a:b]", "http://h:", "a:b:c", "a+b-c.1:", "x://"),
]
RELATIVE = [
    *("/s", "1-555-123-4567", "/sensors/tn-1234567/alerts", "//github.com/a.yaml", "a/b:c", "./a:b", "?q", "#f", ""),
    *("/a%20b", "/a//b", "//", "///", "/#/", "/a@b!$&'()*+,;=:~"),
]
NEITHER = [
    *(
        "%zz",
        "/%",
        "/%4",
        "http://[::1",
        "http://]",
        ":::",
        "/s#a#b",
        "1http://x",
        "/ü",
        "/a b",
        "/[a]",
        "[::1]",
        "\\",
        "^",
    ),
    *(
        "http://h:80x/",
        "//h:p",
        "//a@b@c",
        "http://[zz]",
        "http://[1]",
        "http://[:::]/",
        "http://[::1]x",
        "//[]",
        "_a:b",
    ),
    *(
        "http://[::1%25eth0]",
        "http://[" + ":" * 100 + "]",
        "/a\n",
        "\n",
        "a:b\u2028",
        " ",
        "<a>",
        '"',
        "{a}",
        "a|b",
        "`",
    ),
]


@pytest.mark.parametrize("text", URIS)
def test_a_uri_is_a_reference_too(text: str) -> None:
    assert rfc3986.is_uri(text)
    assert rfc3986.is_reference(text)


@pytest.mark.parametrize("text", RELATIVE)
def test_a_relative_reference_is_no_uri(text: str) -> None:
    assert not rfc3986.is_uri(text)
    assert rfc3986.is_reference(text)


@pytest.mark.parametrize("text", NEITHER)
def test_what_is_neither(text: str) -> None:
    assert not rfc3986.is_uri(text)
    assert not rfc3986.is_reference(text)


_PIECE = st.text("aZ09-._~!$&'()*+,;=", max_size=5)
_TRIPLET = st.integers(0, 255).map("%{:02x}".format)
_SEGMENT = st.builds("{}{}{}".format, _PIECE, _TRIPLET | st.just(""), st.text("a:@", max_size=3))
_PATH = st.lists(_SEGMENT, max_size=3).map(lambda segments: "".join(f"/{each}" for each in segments))
_AUTHORITY = st.builds(
    "//{}{}{}".format,
    st.sampled_from(["", "u@", "u:p%40@"]),
    _PIECE | st.ip_addresses(v=6).map("[{}]".format),
    st.sampled_from(["", ":", ":80"]),
)
_TAIL = st.builds("{}{}".format, *(st.just("") | st.text("a/?:@", max_size=4).map(mark.__add__) for mark in "?#"))


@given(st.sampled_from(["", "a:", "A+.-9:"]), st.just("") | _AUTHORITY, _PATH, _TAIL)
def test_whatever_is_put_together_from_the_parts_is_one(scheme: str, authority: str, path: str, tail: str) -> None:
    if not authority and path.startswith("//"):  # would be read as an authority
        path = path.lstrip("/")
        path = f"/{path}"
    text = f"{scheme}{authority}{path}{tail}"

    assert rfc3986.is_reference(text)
    assert rfc3986.is_uri(text) is bool(scheme)


@given(st.text("a1:/?#[]@%{ é\n", max_size=12))
def test_a_text_that_is_a_reference_holds_nothing_but_its_characters(text: str) -> None:
    if rfc3986.is_reference(text):
        assert text.isascii()
        assert not set(text) & set("{ \n")
        assert text.count("#") <= 1
        assert "[" not in text.partition("//")[0]


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 1_000_000 + "<", "%41" * 300_000 + "%", "//" + "a:" * 500_000, "//" + "a@" * 500_000),
        *("a:" * 500_000 + "é", "//[" + ":" * 1_000_000 + "]", "/?" * 500_000 + "##", "a%41" * 250_000 + ":"),
    ],
    ids=range(8),
)
def test_a_long_text_costs_what_it_is_long(text: str) -> None:
    began = time.process_time()

    assert not rfc3986.is_reference(text)

    assert time.process_time() - began < 1
