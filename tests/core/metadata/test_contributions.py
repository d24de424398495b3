import pytest

from siprec_core.metadata.contributions import Contributions, StreamSpan

SEND, RECV = True, False


def tell(streams: Contributions, who: str, send: str, recv: str, at: int) -> tuple[bool, bool]:
    return streams.tell(who, send.split(), recv.split(), begin_ns=at, end_ns=at)


@pytest.mark.requirement("7865-6.8-b", "7865-6.8-e")
def test_what_is_not_named_any_more_is_over() -> None:
    streams = Contributions(100)
    assert tell(streams, "anna", "one two", "three", 10) == (False, False)
    assert tell(streams, "anna", "two", "three four", 20) == (False, False)
    assert streams.spans() == (
        StreamSpan("anna", "one", SEND, 10, 20),
        StreamSpan("anna", "two", SEND, 10),
        StreamSpan("anna", "three", RECV, 10),
        StreamSpan("anna", "four", RECV, 20),
    )
    assert list(streams.participants()) == ["anna"]


@pytest.mark.requirement("7865-6.8-d")
def test_nobody_is_on_a_stream_who_names_none() -> None:
    streams = Contributions(100)
    tell(streams, "anna", "one", "two", 10)
    assert tell(streams, "anna", "", "", 20) == (True, False)
    assert [span.until_ns for span in streams.spans()] == [20, 20]
    assert list(streams.participants()) == []


def test_pause_and_return_are_told_once() -> None:
    streams = Contributions(100)
    assert [tell(streams, "anna", send, "x", 10) for send in ("a", "", "", "b", "b c", "")] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
        (False, False),
        (True, False),
    ]


def test_who_only_ever_listened_does_not_resume() -> None:
    streams = Contributions(100)
    tell(streams, "anna", "", "x", 10)
    assert tell(streams, "anna", "a", "x", 20) == (False, False)


def test_end_is_never_before_its_beginning() -> None:
    streams = Contributions(100)
    tell(streams, "anna", "a", "", 30)
    streams.tell("anna", (), (), begin_ns=5, end_ns=5)
    assert streams.spans() == (StreamSpan("anna", "a", SEND, 30, 30),)


def test_stream_that_is_sent_and_received_has_two_spans() -> None:
    streams = Contributions(100)
    tell(streams, "anna", "mix", "mix", 1)
    assert [span.sends for span in streams.spans()] == [True, False]


def test_spellings_of_one_id_are_one_stream() -> None:
    streams = Contributions(100)
    tell(streams, "anna", "AAECAwQFRgeICQoLDA0ODw==", "", 1)
    tell(streams, "anna", "AAECAwQFRgeICQoLDA0ODx==", "", 2)
    assert len(streams.spans()) == 1


def test_spans_are_bounded() -> None:
    streams = Contributions(5)
    for number in range(20):
        tell(streams, f"p{number}", "a b", "c", number)
    assert len(streams.spans()) == 5


@pytest.mark.parametrize(("at", "covered"), [(9, False), (10, True), (19, True), (20, False)])
def test_span_covers_its_beginning_and_not_its_end(at: int, covered: bool) -> None:
    assert StreamSpan("anna", "a", SEND, 10, 20).covers(at) is covered
    assert StreamSpan("anna", "a", SEND, 10).covers(at) is (at >= 10)
