"""Which server is asked next, and which is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from siprec_core.recording.servers import ServerChoice, ServerMemory

URIS = ("sip:a", "sip:b", "sip:c")


def choice(memory: ServerMemory | None = None, *, final: frozenset[int] = frozenset()) -> ServerChoice:
    return ServerChoice(
        memory or ServerMemory(),
        final_statuses=final,
        silence_seconds=4.0,
        answer_seconds=20.0,
        longest_rest_seconds=3600.0,
    )


def test_each_server_is_asked_once_in_order() -> None:
    servers = choice()
    assert servers.begin((*URIS, "sip:a"), now=0.0) == "sip:a"
    assert [servers.failed(486, retry_seconds=None, now=1.0) for _ in range(3)] == ["sip:b", "sip:c", None]


def test_a_last_word_ends_the_search() -> None:
    for status, final in ((600, frozenset[int]()), (488, frozenset((488,)))):
        servers = choice(final=final)
        servers.begin(URIS, now=0.0)
        assert servers.failed(status, retry_seconds=None, now=1.0) is None


def test_who_asks_for_it_is_left_alone_so_long() -> None:
    memory = ServerMemory()
    servers = choice(memory)
    servers.begin(URIS, now=0.0)
    servers.failed(503, retry_seconds=10, now=1.0)
    assert choice(memory).begin(URIS, now=10.9) == "sip:b"
    assert memory.resting_until("sip:a") == 11.0
    assert choice(memory).begin(("sip:a",), now=10.9) is None
    assert choice(memory).begin(URIS, now=11.0) == "sip:a"


def test_nobody_is_shut_out_for_good() -> None:
    memory = ServerMemory()
    servers = choice(memory)
    servers.begin(URIS, now=0.0)
    servers.failed(503, retry_seconds=999_999_999, now=0.0)
    assert choice(memory).begin(URIS, now=3600.0) == "sip:a"


def test_who_failed_is_asked_after_the_others_until_it_answers() -> None:
    memory = ServerMemory()
    first = choice(memory)
    first.begin(URIS, now=0.0)
    assert first.failed(408, retry_seconds=None, now=0.0) == "sip:b"
    first.answered()
    second = choice(memory)
    assert second.begin(URIS, now=1.0) == "sip:b"
    assert second.failed(500, retry_seconds=None, now=1.0) == "sip:c"
    assert second.failed(500, retry_seconds=None, now=1.0) == "sip:a", "rather than nobody"
    second.answered()
    assert choice(memory).begin(URIS, now=2.0) == "sip:a"


def test_what_another_call_learns_meanwhile_counts() -> None:
    memory = ServerMemory()
    one, other = choice(memory), choice(memory)
    one.begin(URIS, now=0.0)
    other.begin(("sip:b",), now=0.0)
    other.failed(503, retry_seconds=60, now=1.0)
    assert one.failed(408, retry_seconds=None, now=2.0) == "sip:c"


def test_a_server_gets_its_time() -> None:
    servers = choice()
    servers.begin(URIS, now=0.0)
    assert not servers.gives_up(1e6), "the INVITE has not left"
    servers.attempted(now=0.0)
    assert not servers.gives_up(3.9)
    servers.heard(now=3.9)
    servers.heard(now=20.0)
    assert servers.deadline == 23.9
    assert not servers.gives_up(23.8)
    assert servers.gives_up(23.9)
    assert servers.failed(408, retry_seconds=None, now=23.9) == "sip:b"
    servers.attempted(now=24.0)
    servers.answered()
    assert not servers.gives_up(1e6)


def test_the_last_server_gets_all_the_time_it_needs() -> None:
    memory = ServerMemory()
    servers = choice(memory)
    servers.begin(("sip:a",), now=0.0)
    servers.attempted(now=0.0)
    assert servers.deadline is None
    servers = choice(memory)
    servers.begin(("sip:a", "sip:b"), now=0.0)
    servers.attempted(now=0.0)
    memory.failed("sip:b", retry_seconds=60.0, now=1.0)
    assert not servers.gives_up(4.0)
    assert servers.deadline is None


@given(
    st.lists(st.sampled_from(URIS), max_size=5),
    st.lists(st.tuples(st.sampled_from(URIS), st.none() | st.integers(0, 50), st.floats(0, 100)), max_size=20),
    st.floats(100, 200),
)
def test_the_order_has_every_server_that_does_not_rest(
    wanted: list[str], failures: list[tuple[str, int | None, float]], now: float
) -> None:
    memory = ServerMemory()
    for uri, seconds, at in failures:
        memory.failed(uri, retry_seconds=seconds, now=at)
    found = memory.order(wanted, now=now)
    resting = {uri for uri in wanted if (memory.resting_until(uri) or 0.0) > now}
    assert sorted(found) == sorted(set(wanted) - resting)
