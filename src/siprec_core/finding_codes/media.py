"""Findings about RTP and RTCP (RFC 3550)."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

MEDIA_CODES = (
    FindingCode(
        "source-learnt",
        _W,
        "RFC 4961 4",
        "RTP comes from another address than the SDP announced; it was learnt and is now the only one taken",
        "let the client send from the address that it announces, or have the device in front of it correct the SDP",
    ),
    FindingCode(
        "source-changed",
        _I,
        "RFC 3550 8.2",
        "the address that RTP comes from changed",
        "nothing to do after a re-INVITE; otherwise see why media came from an address not announced at first",
    ),
    FindingCode(
        "source-foreign",
        _W,
        "RFC 3550 8.2",
        "packets from an address that is not the source of the line were rejected",
        "find out who sends them: a call that had the port before, a second device, or an attacker",
    ),
    FindingCode(
        "ssrc-changed",
        _I,
        "RFC 3550 8.2",
        "another synchronisation source appeared on the line; it is recorded as part of the same stream",
        "nothing to do: transfers and new media paths do this",
    ),
    FindingCode(
        "ssrc-limit",
        _W,
        "RFC 3550 8.2",
        "more synchronisation sources than the limits allow; packets of the new ones were rejected",
        "see why the line has so many sources; raise ssrcs_per_line or new_ssrcs_per_second if they are wanted",
    ),
    FindingCode(
        "sequence-restarted",
        _I,
        "RFC 3550 A.1",
        "the sequence numbers of a source jumped; counting began anew",
        "nothing to do after a restart of the sender; otherwise look for a long loss",
    ),
    FindingCode(
        "payload-type-unknown",
        _W,
        "RFC 3550 5.1",
        "packets with a payload type that was not negotiated were rejected",
        "let the client send only payload types of the answer",
    ),
    FindingCode(
        "rtp-invalid",
        _W,
        "RFC 3550 A.1",
        "datagrams on the RTP port that are not valid RTP were rejected",
        "correct the sender",
    ),
    FindingCode(
        "rtcp-invalid",
        _W,
        "RFC 3550 A.2",
        "datagrams that are not valid RTCP were rejected",
        "correct the sender",
    ),
    FindingCode(
        "rtcp-not-multiplexed",
        _I,
        "RFC 5761 5.1.1",
        "RTCP came to the RTP port although rtcp-mux was not agreed; it was kept",
        "let the client send RTCP to the port of a=rtcp, or offer a=rtcp-mux",
    ),
    FindingCode(
        "media-other-protocol",
        _I,
        "RFC 7983 7",
        "datagrams of another protocol came to the media port and were passed over",
        "nothing to do if the client tries ICE, DTLS or keep-alives",
    ),
    FindingCode(
        "srtp-unauthenticated",
        _E,
        "RFC 3711 3.3",
        "no packet of the encrypted line is authentic, and none is recorded: the key is not the sender's",
        "encrypt with the key of the client's own a=crypto line, the one whose tag the answer repeats",
    ),
    FindingCode(
        "srtp-rejected",
        _W,
        "RFC 3711 3.3",
        "packets of an encrypted line failed authentication and were rejected",
        "find out who sends them: damage, a key of an earlier offer, or an attacker",
    ),
    FindingCode(
        "srtp-replayed",
        _I,
        "RFC 3711 3.3.2",
        "packets of an encrypted line that came before were rejected",
        "nothing to do if the network duplicates packets; otherwise somebody plays them again",
    ),
    FindingCode(
        "media-never",
        _W,
        "RFC 7866 8",
        "no packet came on a line on which the client may send",
        "let packets through to the port of the answer, and see that the client knows what it has to send there",
    ),
    FindingCode(
        "media-stopped",
        _I,
        "RFC 7866 8",
        "packets stopped coming on a line that is not on hold",
        "nothing to do if the client sends no silence; otherwise see why it stopped",
    ),
    FindingCode(
        "media-while-inactive",
        _W,
        "RFC 3264 5.1",
        "RTP came although the line is inactive; it was recorded all the same",
        "let the client stop sending while the line is on hold",
    ),
)
