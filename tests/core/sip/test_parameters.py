import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.errors import RemoteProtocolError
from siprec_core.findings import Finding
from siprec_core.sip.parameters import NO_PARAMETERS, Parameters
from tests.core.sip.strategies import parameters, tokens


def test_values_flags_and_absence() -> None:
    read = Parameters.parse(";branch=z9hG4bK1;rport;Ttl=5")
    assert read.get("BRANCH") == "z9hG4bK1"
    assert read.get("rport") is None
    assert "rport" in read
    assert read.get("ttl") == "5"
    assert "x" not in read
    assert 5 not in read
    assert list(read) == [("branch", "z9hG4bK1"), ("rport", None), ("Ttl", "5")]
    assert len(read) == 3


def test_blanks_and_quotes() -> None:
    read = Parameters.parse(r' ; a = b;c="x;\"y\"" ;d ')
    assert list(read) == [("a", "b"), ("c", 'x;"y"'), ("d", None)]
    assert str(read) == r';a=b;c="x;\"y\"";d'


def test_values_that_are_no_tokens_are_kept() -> None:
    assert Parameters.parse(";received=2001:db8::1;r=[::1]").get("received") == "2001:db8::1"


@pytest.mark.parametrize("text", ["x", ";=a", ";a=b c", ';a="open', ";a,b", ";a=b,c", ";a=<b>", ";ä"])
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Parameters.parse(text, field="Via")
    assert caught.value.field == "Via"


def test_empty_parameters_are_told_or_refused() -> None:
    findings: list[Finding] = []
    read = Parameters.parse(";;a=;b", field="To", findings=findings)
    assert list(read) == [("a", None), ("b", None)]
    assert [found.code for found in findings] == ["sip-parameter-empty"]
    with pytest.raises(RemoteProtocolError):
        Parameters.parse(";;a", forgive_empty=False)


@pytest.mark.requirement("3261-7.3.1-c")
def test_the_first_of_repeated_parameters_counts() -> None:
    findings: list[Finding] = []
    read = Parameters.parse(";tag=1;TAG=2", findings=findings)
    assert read.get("tag") == "1"
    assert [found.code for found in findings] == ["sip-parameter-repeated"]
    assert str(read) == ";tag=1;TAG=2"


@pytest.mark.requirement("3261-7.3.1-c")
def test_with_and_without() -> None:
    read = Parameters.parse(";a=1;b;a=2")
    assert str(read.with_("A", "x y")) == ';A="x y";b'
    assert str(read.with_("c", None)) == ";a=1;b;a=2;c"
    assert str(read.without("a")) == ";b"
    assert str(read) == ";a=1;b;a=2"
    with pytest.raises(ValueError, match="token"):
        read.with_("a b", None)


@pytest.mark.requirement("3261-7.3.1-c")
def test_equality_and_hash_fold_names_only() -> None:
    assert Parameters.parse(";A=x") == Parameters.parse(";a=x")
    assert hash(Parameters.parse(";A=x")) == hash(Parameters.parse(";a=x"))
    assert Parameters.parse(";a=X") != Parameters.parse(";a=x")
    assert Parameters.parse("") == NO_PARAMETERS
    assert NO_PARAMETERS != ""
    assert repr(Parameters.parse(";a")) == "Parameters(';a')"


@given(parameters(st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\r\n"), min_size=1, max_size=20)))
def test_round_trip(made: Parameters) -> None:
    read = Parameters.parse(str(made))
    assert list(read) == list(made)
    assert str(read) == str(made)


@given(st.text(';="\\, \tab<>\x00ä', max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, forgive: bool) -> None:
    try:
        read = Parameters.parse(text, findings=[], forgive_empty=forgive)
    except RemoteProtocolError:
        return
    assert Parameters.parse(str(read)) == read


@given(st.lists(tokens, min_size=1, max_size=5))
def test_plain_and_blank_spelling_read_alike(names: list[str]) -> None:
    assert Parameters.parse("".join(f";{name}" for name in names)) == Parameters.parse(
        "".join(f" ; {name} " for name in names)
    )
