"""Hypothesis strategies for SIP values."""

from hypothesis import strategies as st

from siprec_core.sip.parameters import Parameters

TOKEN_CHARACTERS = "abcXYZ019-.!%*_+`'~"

tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=12)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=20)
quotable = st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\r\n"), max_size=20)
hosts = st.one_of(st.sampled_from(["example.com", "a", "192.0.2.1", "h-1.example.net"]), st.ip_addresses(v=6).map(str))
ports = st.none() | st.integers(0, 65_535)


def parameters(values: st.SearchStrategy[str] = printable) -> st.SearchStrategy[Parameters]:
    """Parameters with distinct names."""
    items = st.tuples(tokens, st.none() | values)
    return st.lists(items, max_size=4, unique_by=lambda item: item[0].lower()).map(Parameters)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data cut at any places, empty pieces included."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
