"""Nothing that the metadata filter takes out is stored anywhere."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.metadata.privacy import FilterAction, MetadataFilter
from siprec_core.recording.events import FindingRaised, SessionEnded
from siprec_core.recording.policy import ServerConfig
from siprec_core.recording.redaction import filter_message
from siprec_core.recording.replay import MetadataBody, Replay
from siprec_core.recording.request import read_request
from siprec_core.sip.multipart import parse_body
from tests.core.harness import Pair
from tests.core.messages import METADATA, OFFER, body, field, invite, multipart, read, request, status, tag

LIMITS = Limits()
POLICY = MetadataFilter(
    rules={"nameid@aor": FilterAction.HASH, "name": FilterAction.DROP, "extensions": FilterAction.DROP},
    key=b"a key for the tests of this file",
)
PRIVATE = METADATA.replace("</recording>", "<x xmlns='urn:x'>Secret extension</x></recording>").replace(
    '<nameID aor="sip:ann@example.com"/>', '<nameID aor="sip:ann@example.com"><name>Secret Ann</name></nameID>'
)


def redacted(data: bytes, policy: MetadataFilter = POLICY) -> bytes:
    return filter_message(data, policy, limits=LIMITS)


def is_clean(data: bytes) -> bool:
    return b"Secret" not in data and b"ann@example.com" not in data


def test_message_without_metadata_is_stored_as_it_is() -> None:
    for data in (
        request("BYE", to_tag="x"),
        request("INVITE", body=OFFER, content_type="application/sdp"),
        b"",
        b"\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nVia: x",
    ):
        assert redacted(data) == data


@pytest.mark.requirement("7865-10-c")
def test_metadata_of_a_multipart_body_is_filtered_in_place() -> None:
    data = redacted(invite(metadata=PRIVATE))
    assert is_clean(data)
    message = read(data)
    assert field(data, "Content-Length") == str(len(message.body))
    found = read_request(message, limits=LIMITS, strict=False)
    assert found.offer is not None
    assert found.metadata is not None
    assert len(found.metadata.participants) == 1
    assert (
        found.metadata
        == read_request(read(invite(metadata=PRIVATE)), limits=LIMITS, strict=False, policy=POLICY).metadata
    )


def test_metadata_that_is_the_whole_body_is_filtered() -> None:
    data = redacted(request("UPDATE", body=PRIVATE, content_type="application/rs-metadata", to_tag="x"))
    assert is_clean(data)
    assert read(data).body.startswith(b"<?xml")


@pytest.mark.parametrize("header", ["l: {}", "Content-Length :  {}", "content-length:\r\n {}"])
def test_length_in_any_spelling_is_adjusted(header: str) -> None:
    plain = request("UPDATE", body=PRIVATE, content_type="application/rs-metadata", to_tag="x")
    length = field(plain, "Content-Length")
    data = redacted(plain.replace(f"Content-Length: {length}".encode(), header.format(length).encode()))
    assert is_clean(data)
    assert read(data).body.endswith(b"</recording>\n")


def test_message_without_length_has_its_metadata_filtered() -> None:
    plain = request("UPDATE", body=PRIVATE, content_type="application/rs-metadata", to_tag="x")
    length = field(plain, "Content-Length")
    assert is_clean(redacted(plain.replace(f"Content-Length: {length}\r\n".encode(), b"")))


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_transfer_encoding_is_kept(encoding: str) -> None:
    content = b64encode(PRIVATE.encode()).decode() if encoding == "base64" else PRIVATE.replace("=", "=3D")
    text = (
        f"--b\r\nContent-Type: application/rs-metadata\r\nContent-Transfer-Encoding: {encoding}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n{content}\r\n--b--\r\n"
    )
    data = redacted(request("UPDATE", body=text, content_type="multipart/mixed;boundary=b", to_tag="x"))
    (part,) = parse_body(read(data), limits=LIMITS).leaves()
    decoded = bytes(part.decoded())
    assert decoded.startswith(b"<?xml")
    assert is_clean(decoded)
    assert is_clean(data)
    if encoding == "base64":
        assert b64decode(bytes(part.content)) == part.decoded()
    assert part.headers.get("Content-Length") == str(len(part.content))


def test_nested_multipart_is_filtered() -> None:
    kind, inner = multipart(("application/rs-metadata", "", PRIVATE), boundary="inner")
    outer_kind, outer = multipart(("application/sdp", "", OFFER), (kind, "", inner))
    data = redacted(request("INVITE", body=outer, content_type=outer_kind))
    assert is_clean(data)
    found = read_request(read(data), limits=LIMITS, strict=False)
    assert found.offer is not None
    assert found.metadata is not None


@pytest.mark.parametrize(
    "text",
    [
        f"--other\r\nContent-Type: application/rs-metadata\r\n\r\n{PRIVATE}",
        f"--edge\r\nContent-Type: application/rs-metadata\r\n\r\n{PRIVATE[:-9]}\r\n--edge--\r\n",
        f"Secret preamble\r\n--edge\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--edge--\r\nSecret epilogue",
        f"--edge\r\nContent-Type: application/rs-metadata\r\nContent-Transfer-Encoding: x\r\n\r\n{PRIVATE}",
    ],
)
def test_what_cannot_be_understood_is_left_out(text: str) -> None:
    data = redacted(request("INVITE", body=text, content_type="multipart/mixed;boundary=edge", to_tag="x"))
    assert is_clean(data)
    assert field(data, "Content-Length") == str(len(body(data)))


def test_malformed_message_loses_its_body() -> None:
    plain = invite(metadata=PRIVATE).replace(b"CSeq: 1 INVITE", b"CSeq: x")
    data = redacted(plain)
    assert is_clean(data)
    assert field(data, "Content-Length") == "0"


@pytest.mark.parametrize(("action", "left"), [(FilterAction.KEEP, True), (FilterAction.DROP, False)])
def test_other_parts(action: FilterAction, left: bool) -> None:
    kind, text = multipart(
        ("application/sdp", "", OFFER),
        ("application/gtd", "signal;handling=optional", "GCI,123"),
        ("application/rs-metadata", "", PRIVATE),
    )
    policy = MetadataFilter(rules=POLICY.rules, other_parts=action, key=POLICY.key)
    data = redacted(request("INVITE", body=text, content_type=kind), policy)
    assert is_clean(data)
    assert (b"GCI,123" in data) is left
    assert b"m=audio 41000" in data


@settings(max_examples=60)
@given(st.integers(0, 2_000), st.binary(max_size=4))
def test_damaged_message_never_raises(at: int, octets: bytes) -> None:
    plain = invite(metadata=PRIVATE)
    redacted(plain[:at] + octets + plain[at + len(octets) :])


@pytest.mark.requirement("7865-10-c")
def test_recording_holds_only_filtered_metadata() -> None:
    pair = Pair(config=ServerConfig(metadata_filter=POLICY))
    pair.inject(invite(metadata=PRIVATE))
    answer = pair.server.sent[-1]
    assert status(answer) == 200
    pair.inject(request("ACK", to_tag=tag(answer), branch="z9hG4bK-ack"))
    pair.inject(request("UPDATE", cseq=2, to_tag=tag(answer), body=PRIVATE, content_type="application/rs-metadata+xml"))
    pair.inject(request("BYE", cseq=3, to_tag=tag(answer), body=PRIVATE, content_type="application/rs-metadata+xml"))
    pair.run(1.0)
    assert len(pair.server.of(SessionEnded)) == 1
    for name, content in pair.server.files.items():
        assert is_clean(content), name
    assert all(is_clean(raised.finding.message.encode()) for raised in pair.server.of(FindingRaised))
    replay = Replay(limits=LIMITS)
    for name, content in pair.server.files.items():
        if name.endswith("journal.pcapng"):
            replay.receive(content)
    replay.end_of_file()
    bodies = []
    while (item := replay.poll()) is not None:
        if isinstance(item, MetadataBody):
            bodies.append(item.raw)
    assert len(bodies) == 3
    assert all(is_clean(each) and each.startswith(b"<?xml") for each in bodies)
    assert replay.account is not None
    (record,) = replay.account.metadata.participants
    assert record.participant.aors[0].endswith("@hashed.invalid")
