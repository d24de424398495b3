"""The messages that the benchmarks read: INVITEs of a recording client (RFC 7866), each of another call.

Every call has its own identifiers, ports and times, so that no parser lives from having seen the very same text before.
"""

from dataclasses import dataclass

CALLS = 64
"""How many different calls a benchmark goes round."""

_SDP = """\
v=0
o=recorder-client {origin} {origin} IN IP4 192.0.2.{host}
s=-
c=IN IP4 192.0.2.{host}
t=0 0
m=audio {port_one} RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=label:1
a=sendonly
m=audio {port_two} RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=label:2
a=sendonly
"""
_METADATA = """\
<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
  <datamode>complete</datamode>
  <session session_id="{session}">
    <sipSessionID>{uuid}0a;remote={uuid}0b</sipSessionID>
    <start-time>2026-03-02T10:{minute:02}:00Z</start-time>
  </session>
  <participant participant_id="{anna}">
    <nameID aor="sip:anna{number}@example.org">
      <name xml:lang="en">Anna of desk {number}</name>
    </nameID>
  </participant>
  <participant participant_id="{ben}">
    <nameID aor="sip:ben{number}@example.net"/>
  </participant>
  <stream stream_id="{one}" session_id="{session}">
    <label>1</label>
  </stream>
  <stream stream_id="{two}" session_id="{session}">
    <label>2</label>
  </stream>
  <sessionrecordingassoc session_id="{session}">
    <associate-time>2026-03-02T10:{minute:02}:00Z</associate-time>
  </sessionrecordingassoc>
  <participantsessionassoc participant_id="{anna}" session_id="{session}">
    <associate-time>2026-03-02T10:{minute:02}:00Z</associate-time>
  </participantsessionassoc>
  <participantsessionassoc participant_id="{ben}" session_id="{session}">
    <associate-time>2026-03-02T10:{minute:02}:02Z</associate-time>
  </participantsessionassoc>
  <participantstreamassoc participant_id="{anna}">
    <send>{one}</send>
    <recv>{two}</recv>
  </participantstreamassoc>
  <participantstreamassoc participant_id="{ben}">
    <send>{two}</send>
    <recv>{one}</recv>
  </participantstreamassoc>
</recording>
"""
_HEADER = """\
INVITE sip:srs@recorder.example.com:5060 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.{host}:5060;branch=z9hG4bK-{number:08x};rport
Max-Forwards: 70
From: "Recording client" <sip:src@client.example.com>;tag=src-{number:08x}
To: <sip:srs@recorder.example.com>
Call-ID: {number:08x}-recording@client.example.com
CSeq: 101 INVITE
Contact: <sip:src@192.0.2.{host}:5060;transport=udp>;+sip.src
Require: siprec
Supported: timer, replaces, 100rel
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO
User-Agent: recording-client/4.2
Accept: application/sdp, application/rs-metadata+xml
Content-Type: multipart/mixed;boundary={boundary}
Content-Length: {length}

"""
_BODY = """\
--{boundary}
Content-Type: application/sdp

{sdp}
--{boundary}
Content-Type: application/rs-metadata+xml
Content-Disposition: recording-session

{metadata}
--{boundary}--
"""


@dataclass(frozen=True)
class Call:
    """One INVITE and what it is made of; what is text on the wire is there as octets."""

    invite: bytes
    content_type: str
    body: bytes
    sdp: bytes
    metadata: bytes


def _identifier(kind: str, number: int) -> str:
    """Give the base64 of a random UUID (version 4), as RFC 7865 section 6.10 has it."""
    return f"{kind}{number:04d}RAi".ljust(22, "A")[:22] + "=="


def call(number: int) -> Call:
    """Write the INVITE of one call."""
    names = {
        "number": number,
        "host": 2 + number % 200,
        "origin": 3_900_000_000 + number,
        "port_one": 20_000 + 4 * (number % 10_000),
        "port_two": 20_002 + 4 * (number % 10_000),
        "minute": number % 60,
        "uuid": f"{number:030x}",
        "session": _identifier("call", number),
        "anna": _identifier("anna", number),
        "ben": _identifier("ben0", number),
        "one": _identifier("one0", number),
        "two": _identifier("two0", number),
        "boundary": f"part-{number:08x}",
    }
    sdp = _SDP.format_map(names)
    metadata = _METADATA.format_map(names)
    body = _wire(_BODY.format_map({**names, "sdp": sdp, "metadata": metadata}))
    header = _wire(_HEADER.format_map({**names, "length": len(body)}))
    content_type = f"multipart/mixed;boundary={names['boundary']}"
    return Call(header + body, content_type, body, _wire(sdp), _wire(metadata))


def calls() -> list[Call]:
    """Write the INVITEs of `CALLS` calls."""
    return [call(number) for number in range(1, CALLS + 1)]


def request(method: str, number: int, to_tag: str) -> bytes:
    """Write the ACK or the BYE of a call."""
    cseq = 101 if method == "ACK" else 102
    return _wire(
        f"{method} sip:srs@recorder.example.com:5060 SIP/2.0\n"
        f"Via: SIP/2.0/UDP 192.0.2.{2 + number % 200}:5060;branch=z9hG4bK-{method}-{number:08x};rport\n"
        "Max-Forwards: 70\n"
        f'From: "Recording client" <sip:src@client.example.com>;tag=src-{number:08x}\n'
        f"To: <sip:srs@recorder.example.com>;tag={to_tag}\n"
        f"Call-ID: {number:08x}-recording@client.example.com\n"
        f"CSeq: {cseq} {method}\n"
        "Content-Length: 0\n\n"
    )


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
