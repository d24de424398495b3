"""What clients in the field send around their bodies: each oddity is recorded, and told where it breaks a rule."""

from collections.abc import Callable

import pytest

from siprec_core.recording.events import FindingRaised, SessionEnded, SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.commands import SendDatagram
from siprec_core.types import Address
from tests.core.harness import Pair
from tests.core.messages import METADATA, OFFER, body, field, invite, multipart, request, status, tag


def recorded(pair: Pair, data: bytes) -> bytes:
    """Give the 200 to an INVITE that has to be recorded."""
    pair.inject(data)
    answer = pair.server.sent[-1]
    assert status(answer) == 200, answer.split(b"\r\n")[0]
    assert len(pair.server.of(SessionEstablished)) == 1
    return answer


def codes(pair: Pair) -> set[str]:
    return {raised.finding.code for raised in pair.server.of(FindingRaised)}


def replaced(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    for old, new in changes:
        assert old in data
        data = data.replace(old, new, 1)
    return data


@pytest.mark.requirement("3261-8.2.2-a")
@pytest.mark.parametrize(
    "changes",
    [
        [(b"From: <sip:src@192.0.2.2>;tag=abc", b"From: sip:src@192.0.2.2;tag=abc")],  # blade
        [(b"To: <sip:recorder@192.0.2.1>", b"To: sip:192.0.2.1")],  # drachtio, OpenSIPS 2.4
        [(b"From: <sip:src@192.0.2.2>", b"From: <sip:recorder@192.0.2.1>")],  # GIGA: From is To
        [(b"Max-Forwards: 70", b"Max-Forwards:70")],
        [(b"From: <", b'From: "Ann"<')],  # BroadWorks
        [(b"Max-Forwards: 70", b"Max-Forwards: 70\r\nSupported:\r\nRecv-Info:")],  # BroadWorks, Webex
        [(b"Max-Forwards: 70", b"Max-Forwards: 70\r\nMin-SE:  1800")],
        [(b"Content-Length: ", b"Content-Length:  ")],
        [(b"Call-ID: ", b"Call-Id: "), (b"CSeq: ", b"Cseq: ")],  # Google client
        [(b";rport", b";rport;alias")],
        [(b"Max-Forwards: 70\r\n", b"")],
        [(b"CSeq: 1 INVITE", b"CSeq: 604674513 INVITE")],
        [(b"CSeq: 1 INVITE", b"CSeq:604674513 INVITE")],
        [(b"Max-Forwards: 70", b"Max-Forwards: 0")],  # RFC 4475 3.3.11: an end point takes it
        [(b"Max-Forwards: 70", b"Max-Forwards: 70\r\nDate: Fri, 01 Jan 2010 16:00:00 EST")],
    ],
    ids=lambda changes: changes[-1][1].decode().replace("\r\n", " "),
)
def test_header_fields_of_the_field(changes: list[tuple[bytes, bytes]]) -> None:
    recorded(Pair(), replaced(invite(), *changes))


def test_content_length_may_stand_before_content_type() -> None:
    lines = invite().split(b"\r\n\r\n", 1)
    fields = lines[0].split(b"\r\n")
    fields.insert(1, fields.pop())
    assert fields[1].startswith(b"Content-Length")
    recorded(Pair(), b"\r\n".join(fields) + b"\r\n\r\n" + lines[1])


def test_bare_line_feeds_in_the_header_are_told() -> None:
    head, _, rest = invite().partition(b"\r\n\r\n")
    pair = Pair()
    recorded(pair, head.replace(b"\r\n", b"\n") + b"\n\n" + rest)
    assert any(code.startswith("sip-") for code in codes(pair))


@pytest.mark.parametrize(
    ("require", "contact", "metadata", "missing"),
    [
        (None, "<sip:a@192.0.2.2:5070>;src", METADATA, {"siprec-no-require", "siprec-feature-tag-form"}),  # BroadWorks
        ("siprec", "<sip:a@192.0.2.2:5070;+sip.src>", METADATA, {"siprec-feature-tag-form"}),  # Avaya SBCE
        ("siprec", "<sip:a@192.0.2.2:5070>;+sip-src", METADATA, {"siprec-feature-tag-form"}),  # PhrSite
        ("siprec", "<sip:a@192.0.2.2:5070>", METADATA, {"siprec-no-feature-tag"}),  # OpenSIPS 2.4, jambonz, Telnyx
        ("siprec", "<sip:a@192.0.2.2:5070;+sip.src", METADATA, {"siprec-feature-tag-form"}),  # Metaswitch
        (None, "<sip:a@192.0.2.2:5070>;+sip.src", METADATA, {"siprec-no-require"}),  # CUBE 15.6
        (None, "<sip:a@192.0.2.2:5070>", METADATA, {"siprec-no-require", "siprec-no-feature-tag"}),  # drachtio
        ("siprec", "<sip:a@192.0.2.2:5070>;+sip.src", None, {"siprec-no-metadata"}),  # pjsua
        ("100rel, siprec", "<sip:a@192.0.2.2:5070>;+sip.src", METADATA, set()),
    ],
)
def test_marks_of_the_field(require: str | None, contact: str, metadata: str | None, missing: set[str]) -> None:
    pair = Pair()
    recorded(pair, invite(require=require, contact=contact, metadata=metadata))
    assert {code for code in codes(pair) if code.startswith("siprec-")} == missing


@pytest.mark.requirement("7866-6.1.1-f")
def test_a_call_of_another_kind_is_no_recording() -> None:
    pair = Pair()
    pair.inject(
        invite(
            require=None,
            metadata=None,
            contact="<sip:a@192.0.2.2:5070>",
            extra=['X-Cisco-Recording-Participant: sip:ann@example.com;media-index="0"'],
        )
    )
    assert status(pair.server.sent[-1]) == 421
    assert not pair.recorder.sessions()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("no line end behind the last boundary", lambda text: text.removesuffix("\r\n")),
        ("blanks behind the boundaries", lambda text: text.replace("--edge\r\n", "--edge \r\n")),
        ("line end before the first boundary", lambda text: "\r\n" + text),
        ("no last boundary", lambda text: text.removesuffix("--edge--\r\n")),
        ("types without a blank", lambda text: text.replace("Content-Type: ", "Content-Type:")),
        ("an empty line before the content", lambda text: text.replace("\r\n\r\n<?xml", "\r\n\r\n\r\n<?xml")),
        ("a part length that is wrong", lambda text: text.replace("\r\n\r\nv=0", "\r\nContent-Length:  7\r\n\r\nv=0")),
    ],
)
def test_multipart_framings_of_the_field(name: str, change: Callable[[str], str]) -> None:
    parts = (("application/sdp", "", OFFER), ("application/rs-metadata", "recording-session", METADATA))
    kind, text = multipart(*parts)
    changed = change(text)
    assert changed != text, name
    pair = Pair()
    answer = recorded(pair, request("INVITE", body=changed, content_type=kind, extra=["Require: siprec"]))
    assert body(answer).count("a=recvonly") == 2
    assert "metadata-malformed" not in codes(pair)


# OpenSIPS (its addresses, sequence numbers and habits on the wire)


def test_a_server_that_is_from_to_and_request_uri_at_once() -> None:
    pair = Pair()
    data = replaced(invite(cseq=2), (b"From: <sip:src@192.0.2.2>", b"From: <sip:recorder@192.0.2.1>"), (b";rport", b""))
    answer = recorded(pair, data)
    assert "rport" not in field(answer, "Via")


def test_two_reinvites_close_together_are_both_answered() -> None:
    pair = Pair()
    ours = tag(recorded(pair, invite(cseq=2)))
    pair.inject(request("ACK", cseq=2, to_tag=ours, branch="z9hG4bK-a"))
    held = OFFER.replace("sendonly", "inactive")
    pair.inject(invite(cseq=3, to_tag=ours, offer=held, metadata=None))
    pair.inject(invite(cseq=4, to_tag=ours, offer=held, metadata=None))
    assert [status(data) for data in pair.server.sent[-2:]] == [200, 200]
    pair.inject(request("ACK", cseq=5, to_tag=ours, branch="z9hG4bK-a4"))
    pair.run(60.0)
    assert len(pair.recorder.sessions()) == 1


def test_a_bye_that_is_answered_405_is_the_end_of_it() -> None:
    pair = Pair()
    ours = tag(recorded(pair, invite()))
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-a"))
    (session,) = pair.recorder.sessions()
    pair.wire.drop = lambda data: data.startswith(b"BYE")
    pair.recorder.end(session, now=pair.now)
    pair.settle()
    (bye,) = pair.server.messages(b"BYE")
    pair.inject(bye_answer(bye))
    pair.run(60.0)
    assert len(pair.server.messages(b"BYE")) == 1
    assert [ended.reason for ended in pair.server.of(SessionEnded)] == ["server-bye"]
    assert pair.recorder.next_timeout() is None


def bye_answer(bye: bytes) -> bytes:
    fields = [f"{name}: {field(bye, name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join(["SIP/2.0 405 Method Not Allowed", *fields, "Content-Length: 0"]).encode() + b"\r\n\r\n"


def test_an_instant_200_that_is_lost_is_sent_again() -> None:
    pair = Pair()
    pair.inject(invite())
    pair.run(0.6)
    assert len(pair.server.messages(b"SIP/2.0 200")) == 2


def test_a_refresh_with_the_same_description_changes_nothing() -> None:
    pair = Pair()
    first = recorded(pair, invite())
    ours = tag(first)
    pair.inject(request("ACK", to_tag=ours, branch="z9hG4bK-a"))
    for number in range(2, 6):
        pair.inject(invite(cseq=number, to_tag=ours, metadata=None))
        assert body(pair.server.sent[-1]) == body(first)
        pair.inject(request("ACK", cseq=number, to_tag=ours, branch=f"z9hG4bK-a{number}"))
    assert len(pair.server.media) == 2


# addresses that must not be followed


@pytest.mark.parametrize(
    "via", ["203.0.113.66:5070;maddr=203.0.113.67;branch=z9hG4bK1", "far.example.com;branch=z9hG4bK1"]
)
def test_answers_go_to_the_source_and_nowhere_else(via: str) -> None:
    pair = Pair()
    lines = invite().split(b"\r\n")
    lines[1] = f"Via: SIP/2.0/UDP {via}".encode()
    commands = []
    poll = pair.recorder.poll_output

    def watch() -> object:
        output = poll()
        if isinstance(output, SendDatagram):
            commands.append(output)
        return output

    pair.recorder.poll_output = watch  # type: ignore[method-assign, assignment]
    pair.inject(b"\r\n".join(lines), source=Address("198.51.100.5", 9999))
    assert commands
    assert {command.flow.remote.host for command in commands} == {"198.51.100.5"}


@pytest.mark.requirement("3261-8.2.2-d")
def test_option_tags_run_together_are_recorded_with_a_finding_and_refused_in_strict_mode() -> None:
    pair = Pair()
    recorded(pair, invite(require="100relsiprec", contact="<sip:a@192.0.2.2>", metadata=None))
    assert {"siprec-no-require", "siprec-no-feature-tag"} <= codes(pair)
    for strict, tag_name in ((False, "100relteleport"), (True, "100relsiprec")):
        pair = Pair(config=ServerConfig(strict=strict))
        pair.inject(invite(require=tag_name))
        refusal = pair.server.sent[-1]
        assert (status(refusal), field(refusal, "Unsupported")) == (420, tag_name)
