"""The operations interface over real HTTP, on each worker."""

import json
import re
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import siprec_sync
from siprec.http.connections import MOST_CONNECTIONS
from siprec.http.interface import MOST_READERS
from siprec.http.openapi import DETAILS, SCHEMAS
from siprec_core.recording.call import ClientConfig
from siprec_core.types import Address, Transport
from tests.app.asking import Answer, Http, until_named
from tests.app.programs import RunningServer, serving
from tests.contract.conftest import spec
from tests.contract.peer import Peer
from tests.interop.free_ports import free_port

WORKERS = ("asyncio", "uvloop", "trio", "sync")
METRICS = {
    "siprec_build": "info",
    "siprec_ready": "gauge",
    "siprec_sessions": "gauge",
    "siprec_streams": "gauge",
    "siprec_waiting_calls": "gauge",
    "siprec_rtp_port_pairs": "gauge",
    "siprec_packets_received": "counter",
    "siprec_packets_lost": "counter",
    "siprec_packets_duplicate": "counter",
    "siprec_packets_reordered": "counter",
    "siprec_packets_rejected": "counter",
    "siprec_disk_size_bytes": "gauge",
    "siprec_disk_free_bytes": "gauge",
    "siprec_write_queue_bytes": "gauge",
    "siprec_render_queue": "gauge",
    "siprec_sessions_requested": "counter",
    "siprec_sessions_established": "counter",
    "siprec_sessions_ended": "counter",
    "siprec_refused": "counter",
    "siprec_findings": "counter",
    "siprec_loop_lag_seconds": "histogram",
}
QUIET = ("--disk-reserve", "0", "--log-level", "error")
"""Nobody reads the log meanwhile, so it must not fill its pipe."""
UNLIMITED = {"SIPREC_LIMITS__REQUESTS_PER_SOURCE": "0"}
LABELS = {"status", "reason", "state", "code", "severity", "version", "worker", "le"}


@pytest.fixture(scope="module", params=WORKERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("http")
    words = ("-k", request.param, "-b", "udp://127.0.0.1:0", "--http", "127.0.0.1:0", *QUIET)
    with serving(folder, *words, **UNLIMITED) as running:
        yield running
        assert running.end() == 0
        assert f"operations interface on http://127.0.0.1:{running.ready['http']['port']}\n" in running.errors
        assert "Traceback" not in running.errors
        assert "ERROR" not in running.errors


@pytest.fixture
def http(server: RunningServer) -> Http:
    """Ask a server on which nothing goes on."""
    http = Http(server)
    http.until("/v1/sessions", lambda answer: answer.json == {"sessions": []})
    http.until("/metrics", lambda answer: is_idle(read_samples(answer)))
    return http


def sip_address(server: RunningServer) -> Address:
    (port,) = [each["port"] for each in server.ready["listeners"] if each["transport"] == "udp"]
    return Address("127.0.0.1", port)


def peer_of(server: RunningServer) -> Peer:
    return Peer(Transport.UDP, sip_address(server))


def session_of(http: Http, call_id: str) -> str:
    (found,) = [each["id"] for each in http.get("/v1/sessions").json["sessions"] if each["call_id"] == call_id]
    return str(found)


def assert_problem(answer: Answer, status: int, text: str = "") -> None:
    assert (answer.status, answer.media_type) == (status, "application/problem+json")
    assert (answer.json["status"], answer.json["type"]) == (status, "about:blank")
    assert text in answer.json["detail"]


def read_samples(answer: Answer) -> dict[str, float]:
    """Give the samples of a scrape by name and labels."""
    assert (answer.status, answer.media_type) == (200, "text/plain")
    return {
        sample.name + "".join(f"/{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def is_idle(samples: dict[str, float]) -> bool:
    """Tell whether everything that began was told to have ended."""
    ended = sum(value for name, value in samples.items() if name.startswith("siprec_sessions_ended_total/"))
    return ended == samples["siprec_sessions_requested_total"]


def samples(http: Http) -> dict[str, float]:
    return read_samples(http.get("/metrics"))


def fits(value: Any, schema: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether a value is what a schema of the document describes."""
    if "$ref" in schema:
        return fits(value, SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return sum(fits(value, each) for each in schema["oneOf"]) == 1
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types = {"string": str, "integer": int, "number": int | float, "array": list, "object": dict, "boolean": bool}
    if not any(value is None if kind == "null" else isinstance(value, types[kind]) for kind in kinds):
        return False
    if isinstance(value, dict):
        members = schema["properties"]
        return set(schema["required"]) <= set(value) == set(members) and all(
            fits(each, members[name]) for name, each in value.items()
        )
    return not isinstance(value, list) or all(fits(each, schema["items"]) for each in value)


def test_health(http: Http) -> None:
    alive = http.get("/livez")
    assert (alive.status, alive.body) == (200, b"ok\n")
    ready = http.get("/readyz")
    assert (ready.status, ready.json) == (200, {"ready": True, "reason": None})


def test_sessions_are_listed_shown_and_changed(server: RunningServer, http: Http) -> None:
    low = free_port(socket.SOCK_DGRAM) & ~1
    config = ClientConfig(rtp_ports=(low, low + 7))
    with siprec_sync.connect(spec(sip_address(server), Transport.UDP), config=config) as call:
        call.wait_answered()
        (summary,) = http.get("/v1/sessions?status=active").json["sessions"]
        path = f"/v1/sessions/{summary['id']}"
        detail = http.get(path)
        assert detail.status == 200
        assert fits(detail.json, SCHEMAS["Session"])
        assert fits({"sessions": [summary]}, SCHEMAS["Sessions"])
        assert {name for name in detail.json if name not in summary} == DETAILS
        assert [stream["label"] for stream in detail.json["streams"]] == ["1", "2"]

        paused = http.post(f"{path}/pause")
        assert (paused.status, paused.json["status"]) == (202, "paused")
        assert_problem(http.post(f"{path}/pause"), 409)
        http.until(path, lambda answer: {each["direction"] for each in answer.json["streams"]} == {"inactive"})
        assert http.get("/v1/sessions?status=active").json == {"sessions": []}
        assert http.post(f"{path}/resume").json["status"] == "active"
        http.until(path, lambda answer: {each["direction"] for each in answer.json["streams"]} == {"recvonly"})

        documents = http.get(path).json["metadata_documents"]
        assert http.post(f"{path}/snapshot", {"reason": "an operator asks"}).status == 202
        http.until(path, lambda answer: answer.json["metadata_documents"] > documents)
        marked = http.post(f"{path}/mark", {"text": "the customer agrees"})
        assert (marked.status, fits(marked.json, SCHEMAS["Session"])) == (200, True)

        with http.events() as events:
            assert http.post(f"{path}/stop").status == 202
            ended = until_named(events, "session-ended")[-1].data
            assert (ended["session"], ended["reason"], ended["status"]) == (summary["id"], "server-bye", "completed")
        assert_problem(http.get(path), 404, summary["id"])
    (report,) = [each for each in server.reports() if each["id"] == summary["id"]]
    (mark,) = [each for each in report["timeline"] if each["event"] == "mark"]
    assert mark["text"] == "the customer agrees"


def test_a_session_that_is_not_there_and_requests_that_cannot_be(server: RunningServer, http: Http) -> None:
    for action in ("pause", "resume", "stop", "snapshot"):
        assert_problem(http.post(f"/v1/sessions/none/{action}"), 404, "'none'")
    assert_problem(http.post("/v1/sessions/none/mark", {"text": "x"}), 404)
    assert_problem(http.get("/v1/sessions/none"), 404)
    assert_problem(http.get("/nothing"), 404)
    assert_problem(http.post("/v1/sessions"), 405)
    assert_problem(http.get("/v1/sessions?status=asleep"), 400, "asleep")
    with peer_of(server) as peer:
        peer.establish()
        path = f"/v1/sessions/{session_of(http, peer.call_id)}"
        assert_problem(http.post(f"{path}/mark"), 400, "text is missing")
        assert_problem(http.post(f"{path}/mark", {"text": "two\nlines"}), 409, "printable")
        assert_problem(http.post(f"{path}/mark", {"text": 5}), 400, "has to be text")
        assert_problem(http.post(f"{path}/mark", {"words": "x"}), 400, "'words' is unknown")
        assert_problem(http.post(f"{path}/mark", b"{"), 400, "not JSON")
        assert_problem(http.post(f"{path}/mark", b"[" * 10_000), 400, "not JSON")
        assert_problem(http.post(f"{path}/mark", [1]), 400, "an object")
        assert_problem(http.post(f"{path}/mark", b"x" * 100_000), 413)
        assert_problem(http.post(f"{path}/mark", {"text": "x"}, headers={"Content-Type": "text/plain"}), 415)
        assert_problem(http.post(f"{path}/snapshot"), 409, "does not allow UPDATE")
        assert peer.request("BYE", 2).status == 200


def test_metrics_parse_and_count(server: RunningServer, http: Http) -> None:
    text = http.get("/metrics").body.decode()
    families = {each.name: each for each in text_string_to_metric_families(text) if each.name.startswith("siprec_")}
    # The format of Prometheus knows no info; its parser gives the name with its suffix.
    kinds = {name.removesuffix("_info"): each.type for name, each in families.items()}
    assert set(kinds) == set(METRICS)
    assert {name: kind for name, kind in kinds.items() if METRICS[name] != kind} == {"siprec_build": "gauge"}
    assert all(each.documentation for each in families.values())
    assert {label for each in families.values() for sample in each.samples for label in sample.labels} <= LABELS

    before = samples(http)
    assert before["siprec_ready"] == 1
    assert before["siprec_disk_free_bytes"] <= before["siprec_disk_size_bytes"]
    with peer_of(server) as peer:
        (port,) = peer.establish()
        peer.talk(port, 10)
        http.until("/metrics", lambda answer: b"siprec_streams 1.0" in answer.body)
        wanted = before["siprec_packets_received_total"] + 10
        http.until("/metrics", lambda answer: f"siprec_packets_received_total {wanted}".encode() in answer.body)
        running = samples(http)
        assert running["siprec_sessions/active"] == 1
        assert running["siprec_rtp_port_pairs/taken"] == 1
        with http.events() as events:
            assert peer.request("BYE", 2).status == 200
            until_named(events, "session-ended")
    with peer_of(server) as other:
        other.send(other.invite().replace(b"Require: siprec", b"X: y").replace(b";+sip.src", b""))
        assert other.final().status == 421
    http.until("/metrics", lambda answer: b'siprec_refused_total{status="421"} 1.0' in answer.body)
    after = read_samples(http.until("/metrics", lambda answer: is_idle(read_samples(answer))))
    assert after["siprec_sessions/active"] == 0
    assert after["siprec_packets_received_total"] == wanted, "what is over stays counted"
    ended = "siprec_sessions_ended_total/bye/completed"
    assert after[ended] == before.get(ended, 0) + 1
    assert any(name.startswith("siprec_findings_total/siprec-no-metadata/") for name in after)
    http.until("/metrics", lambda answer: b"siprec_loop_lag_seconds_count 0.0" not in answer.body)


def test_events_go_on_where_a_reader_left(server: RunningServer, http: Http) -> None:
    with peer_of(server) as first, peer_of(server) as second:
        with http.events() as events:
            begin = next(events)
            assert re.fullmatch(r"[0-9a-f]+-\d+", begin.id)
            first.establish()
            told = until_named(events, "session-established")
        requested = next(each for each in told if each.name == "session-requested")
        session = requested.data["session"]
        assert requested.data["call_id"] == first.call_id
        assert requested.data["peer"] == {"host": "127.0.0.1", "port": first.local.port}
        # Nobody reads meanwhile.
        second.establish()
        assert second.request("BYE", 2).status == 200
        assert first.request("BYE", 2).status == 200
        with http.events(last=told[-1].id) as events:
            missed = [next(events), *until_named(events, "session-ended"), *until_named(events, "session-ended")]
    assert missed[0].id == told[-1].id
    assert "gap" not in [each.name for each in missed]
    assert {second.call_id} == {each.data["call_id"] for each in missed if each.name == "session-requested"}
    numbers = [int(each.id.partition("-")[2]) for each in (*told, *missed[1:])]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "none is missing, none comes twice"
    with http.events(last=begin.id, query=f"?session={session}") as events:
        next(events)
        mine = until_named(events, "session-ended")
    assert {each.data["session"] for each in mine} == {session}
    assert [mine[0].name, mine[-1].name] == ["session-requested", "session-ended"]


@pytest.mark.parametrize("last", ["0123-7", "nonsense", "", "abc-"])
def test_who_knows_another_run_is_told_so(http: Http, last: str) -> None:
    with http.events(last=last) as events:
        next(events)
        gap = next(events)
    assert (gap.name, gap.data) == ("gap", {"event": "gap", "missed": None})


def test_the_document_and_the_routes_agree(server: RunningServer, http: Http) -> None:
    document = http.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    with peer_of(server) as peer:
        peer.establish()
        session = session_of(http, peer.call_id)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                real = path.replace("{session}", session)
                if operation["operationId"] == "events":
                    with http.events() as events:
                        assert next(events).id
                    continue
                answer = http(method.upper(), real, {"text": "x"} if "mark" in path else None)
                described = operation["responses"][str(answer.status)]["content"]
                assert answer.media_type in described, (path, answer)
                schema = described[answer.media_type].get("schema", {"type": "object"})
                if answer.media_type == "application/json" and operation["operationId"] != "openapi":
                    assert fits(answer.json, schema), (path, answer.json)
            assert_problem(http("PUT", path.replace("{session}", session)), 405)
        # "stop" was among them.
        peer.agree(peer.ask("BYE"))


def test_pages_of_others_are_kept_out(http: Http) -> None:
    assert_problem(http.get("/v1/sessions", headers={"Origin": "https://evil.example"}), 403)
    assert_problem(http.get("/v1/sessions", headers={"Host": "evil.example:8080"}), 403)
    assert http.get("/v1/sessions", headers={"Host": f"localhost:{http.port}"}).status == 200
    assert http.get("/readyz", headers={"Host": "probe.example"}).status == 200


def test_what_is_no_http_hurts_nobody(http: Http) -> None:
    twice = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    for data in (b"\x00" * 100, b"GET", twice, b"A" * 100_000, b"PRI * HTTP/2.0\r\n\r\n", b""):
        with socket.create_connection((http.host, http.port), timeout=10) as connection:
            connection.sendall(data)
    assert http.get("/livez").status == 200
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert http.get("/v1/events", headers=upgrade).status in (400, 403)


@pytest.mark.parametrize("worker", ["asyncio", "trio"])
def test_readers_and_connections_are_bounded(tmp_path: Path, worker: str) -> None:
    with serving(tmp_path, "-k", worker, "-b", "udp://127.0.0.1:0", "--http", "127.0.0.1:0", *QUIET) as server:
        http = Http(server)
        with ExitStack() as readers:
            for _ in range(MOST_READERS):
                next(readers.enter_context(http.events()))
            refused = http.get("/v1/events")
            assert_problem(refused, 503, "read the events already")
            assert "retry-after" in refused.headers
            assert http.get("/livez").status == 200
        with ExitStack() as connections:
            opened = [
                connections.enter_context(socket.create_connection((http.host, http.port), timeout=10))
                for _ in range(MOST_CONNECTIONS + 1)
            ]
            # One is closed without a word: the last, or one before it while the readers were not forgotten yet.
            (closed, *_), _, _ = select.select(opened, (), (), 10)
            assert is_closed(closed)
        http.until_reachable()
        assert server.end() == 0
    assert "Traceback" not in server.errors


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other side closes a connection without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


EVENTS = 500
"""Of some thousand octets each: more than sockets and loops keep for who does not read."""


def refused(http: Http) -> float:
    return samples(http).get("siprec_refused_total/421", 0)


@contextmanager
def never_reading(server: RunningServer, http: Http) -> Iterator[socket.socket]:
    """Follow the events without reading, until the server can send no more."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    with socket.socket(family) as stuck, peer_of(server) as stranger:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.connect((http.host, http.port))
        stuck.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        plain = stranger.invite().replace(b"Require: siprec", b"X: y").replace(b";+sip.src", b"")
        before = refused(http)
        for number in range(EVENTS):
            call_id = f"{number}-".ljust(2_000, "x").encode()
            branch = b"z9hG4bK-%d-" % number
            stranger.send(plain.replace(stranger.call_id.encode(), call_id).replace(b"z9hG4bK-", branch))
            assert stranger.final().status == 421
        http.until("/livez", lambda _: refused(http) == before + EVENTS)
        yield stuck


def rest_of(stuck: socket.socket) -> bytes:
    """Read what was sent to a client up to the end of the connection."""
    stuck.settimeout(20)
    pieces = []
    try:
        while piece := stuck.recv(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def test_a_client_that_never_reads_holds_up_nothing(server: RunningServer, http: Http) -> None:
    with never_reading(server, http), peer_of(server) as peer:
        (port,) = peer.establish()
        peer.talk(port, 5)
        assert http.get("/livez").status == 200
        assert peer.request("BYE", 2).status == 200


@pytest.mark.parametrize("worker", WORKERS)
def test_full_and_draining_show_and_stuck_clients_do_not_hold_up_the_end(
    tmp_path_factory: pytest.TempPathFactory, worker: str
) -> None:
    words = (
        "-k",
        worker,
        "-b",
        "udp://127.0.0.1:0",
        "--http",
        "[::1]:0",
        "--max-sessions",
        "1",
        "--drain-seconds",
        "60",
    )
    with serving(tmp_path_factory.mktemp("drain"), *words, *QUIET, **UNLIMITED) as server:
        http = Http(server)
        with (
            never_reading(server, http) as stuck,
            http.events() as events,
            peer_of(server) as peer,
            peer_of(server) as other,
        ):
            assert http.get("/readyz").status == 200
            peer.establish()
            full = http.get("/readyz")
            assert (full.status, full.json) == (503, {"ready": False, "reason": "full"})
            assert other.request("OPTIONS", 1).status == 486
            http.until("/metrics", lambda answer: read_samples(answer)["siprec_ready"] == 0)

            server.program.send_signal(signal.SIGTERM)
            http.until("/readyz", lambda answer: answer.json == {"ready": False, "reason": "draining"})
            assert other.request("OPTIONS", 2).status == 503
            assert peer.request("BYE", 2).status == 200
            assert [told.name for told in events][-2:] == ["session-ended", "server-drained"]
            assert server.program.wait(30) == 0
            # It was stuck indeed.
            assert 0 < rest_of(stuck).count(b"event: session-refused") < EVENTS
        assert "Traceback" not in server.program.communicate()[1]


def test_a_token_is_needed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("token")
    (folder / "token").write_text("correct-horse-battery\n", encoding="ascii")
    words = ("-b", "udp://127.0.0.1:0", "--http", "0.0.0.0:0", "--http-token-file", folder / "token")
    with serving(folder, *words) as server:
        server.ready["http"]["host"] = "127.0.0.1"
        stranger, wrong = Http(server), Http(server, "correct-horse-batterx")
        known = Http(server, "correct-horse-battery")
        for path in ("/v1/sessions", "/metrics", "/openapi.json", "/v1/events", "/nothing"):
            for client in (stranger, wrong):
                answer = client.get(path)
                assert_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        assert_problem(stranger.post("/v1/sessions/x/stop"), 401)
        assert_problem(stranger.get("/metrics", headers={"Authorization": "Basic Y29ycmVjdA=="}), 401)
        assert [stranger.get(path).status for path in ("/livez", "/readyz")] == [200, 200]
        assert known.get("/v1/sessions", headers={"Host": "recorder.example"}).json == {"sessions": []}
        document = json.loads(known.get("/openapi.json").body)
        assert document["security"] == [{"token": []}]
        assert server.end() == 0
    assert "correct-horse" not in server.errors
