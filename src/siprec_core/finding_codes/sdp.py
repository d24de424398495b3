"""Findings about session descriptions (RFC 8866, RFC 3264)."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

SDP_CODES = (
    FindingCode("sdp-malformed", _E, "RFC 8866 5", "the session description cannot be parsed", "correct the sender"),
    FindingCode(
        "sdp-limit", _E, "", "the session description breaks a bound", "send fewer or shorter lines, or raise the limit"
    ),
    FindingCode("sdp-line-end", _W, "RFC 8866 9", "a line does not end in CRLF", "end each line with CRLF"),
    FindingCode(
        "sdp-no-final-line-end", _I, "RFC 8866 9", "the last line has no line end", "end the last line with CRLF"
    ),
    FindingCode("sdp-blank-line", _I, "RFC 8866 9", "a blank line stands in the description", "leave blank lines out"),
    FindingCode(
        "sdp-blanks", _W, "RFC 8866 5", "blanks stand around the = or at the end of the line", "leave the blanks out"
    ),
    FindingCode(
        "sdp-order",
        _W,
        "RFC 8866 5",
        "a line stands out of order",
        "order the lines as v o s i u e p c b t r z k a and m i c b k a",
    ),
    FindingCode(
        "sdp-repeated-line",
        _W,
        "RFC 8866 9",
        "a line that may stand once stands again; the first counts",
        "leave the second out",
    ),
    FindingCode("sdp-unknown-line", _W, "RFC 8866 5", "a line has an unknown type", "leave the line out"),
    FindingCode(
        "sdp-bad-line", _E, "RFC 8866 5", "a line is malformed and was left out of account", "correct the line"
    ),
    FindingCode(
        "sdp-charset", _W, "RFC 8866 6.10", "the text is not plain UTF-8", "write UTF-8 without byte order mark"
    ),
    FindingCode("sdp-nul", _E, "RFC 8866 9", "a NUL octet stands in the text; it was left out", "leave NUL octets out"),
    FindingCode("sdp-version-number", _W, "RFC 8866 5.1", "the protocol version is not 0", "send v=0"),
    FindingCode(
        "sdp-origin",
        _W,
        "RFC 8866 5.2",
        "the origin is malformed",
        "send o=<user name> <number> <number> IN IP4 <address>",
    ),
    FindingCode("sdp-no-session-name", _W, "RFC 8866 5.3", "there is no session name", "send s=-"),
    FindingCode("sdp-timing", _W, "RFC 8866 5.9", "there is no readable t= line; t=0 0 was taken", "send t=0 0"),
    FindingCode(
        "sdp-connection", _W, "RFC 8866 5.7", "a c= line is malformed", "send c=IN IP4 <address> or c=IN IP6 <address>"
    ),
    FindingCode(
        "sdp-no-connection",
        _E,
        "RFC 8866 5.7",
        "no c= line holds for a media line",
        "send c= before the media lines or in each",
    ),
    FindingCode(
        "sdp-key",
        _I,
        "RFC 8866 5.12",
        "the obsolete k= line was left out of account",
        "leave the line out; keys go into a=crypto",
    ),
    FindingCode(
        "sdp-media-line",
        _E,
        "RFC 8866 5.14",
        "a media line is malformed; it counts as refused",
        "send m=<media> <port> <protocol> <format> ...",
    ),
    FindingCode(
        "sdp-port",
        _E,
        "RFC 8866 5.14",
        "a port is not a number from 0 to 65535; the line counts as refused",
        "send a port from 1 to 65535",
    ),
    FindingCode(
        "sdp-port-count",
        _W,
        "RFC 8866 5.14",
        "a media line asks for several ports; one is used",
        "send one m= line per stream",
    ),
    FindingCode(
        "sdp-formats", _W, "RFC 8866 5.14", "a format list is malformed", "list each payload type once, from 0 to 127"
    ),
    FindingCode(
        "sdp-rtpmap",
        _W,
        "RFC 8866 6.6",
        "an rtpmap is malformed",
        "send a=rtpmap:<payload type> <encoding>/<clock rate>",
    ),
    FindingCode(
        "sdp-no-rtpmap",
        _W,
        "RFC 8866 6.6",
        "a dynamic payload type has no rtpmap",
        "send a=rtpmap for each dynamic payload type",
    ),
    FindingCode(
        "sdp-static-redefined",
        _W,
        "RFC 3551 6",
        "an rtpmap gives a static payload type another meaning",
        "use a payload type from 96 to 127",
    ),
    FindingCode(
        "sdp-directions", _W, "RFC 8866 6.7", "a section has more than one direction", "send one direction per section"
    ),
    FindingCode("sdp-attribute", _W, "RFC 8866 6", "the value of an attribute is malformed", "correct the value"),
    FindingCode(
        "sdp-label",
        _W,
        "RFC 4574 4",
        "a label is misplaced or is not a token",
        "send a=label:<token> in each media section",
    ),
    FindingCode(
        "sdp-no-label",
        _E,
        "RFC 7866 7.1.1",
        "a recorded media line has no label",
        "send a=label in each recorded media section",
    ),
    FindingCode(
        "sdp-duplicate-label",
        _E,
        "RFC 4574 4",
        "two media lines have the same label",
        "give each media line a label of its own",
    ),
    FindingCode(
        "sdp-not-sendonly",
        _I,
        "RFC 7866 7.1.1",
        "a recorded media line is not marked sendonly",
        "mark what is only sent with a=sendonly",
    ),
    FindingCode(
        "sdp-recvonly-offer",
        _W,
        "RFC 7866 7.1.1",
        "a recording client offers to receive only; the line was answered inactive",
        "offer a=sendonly",
    ),
    FindingCode(
        "sdp-crypto",
        _E,
        "RFC 4568 6.1",
        "an a=crypto line is invalid or malformed",
        "send a=crypto:<tag> <suite> inline:<base64 of key and salt>, each tag once in its section",
    ),
    FindingCode(
        "sdp-crypto-misplaced",
        _W,
        "RFC 4568 4",
        "a=crypto stands where it has no meaning; it was left out of account",
        "put a=crypto into sections of the protocol RTP/SAVP or RTP/SAVPF",
    ),
    FindingCode(
        "sdp-crypto-exposed",
        _W,
        "RFC 4568 8.3",
        "the keys of encrypted media came over signalling that is not protected",
        "send offers with a=crypto over TLS",
    ),
    FindingCode(
        "srtp-unavailable",
        _W,
        "RFC 7866 12.2",
        "encrypted media was offered and refused: the ciphers are not installed",
        "install the extra: pip install 'siprec[srtp]'",
    ),
    FindingCode("sdp-hold-address", _I, "RFC 3264 8.4", "hold is told by the unspecified address", "send a=inactive"),
    FindingCode(
        "sdp-host-name",
        _W,
        "",
        "a host name stands where packets come from; their source has to be learnt",
        "send a numeric address",
    ),
    FindingCode(
        "sdp-unusable-address",
        _W,
        "RFC 3264 5",
        "nothing can be sent to the address; the source of packets has to be learnt",
        "send a unicast address",
    ),
    FindingCode(
        "sdp-bundle-ignored",
        _I,
        "RFC 9143 7.3",
        "media lines were offered bundled; each is answered with a port of its own",
        "nothing needs to be done",
    ),
    FindingCode("sdp-line-refused", _I, "RFC 3264 6", "a media line is refused", "offer audio in a codec of ours"),
    FindingCode(
        "sdp-origin-changed", _W, "RFC 3264 8", "the origin changed within the session", "keep o= but for the version"
    ),
    FindingCode(
        "sdp-version-unchanged",
        _W,
        "RFC 3264 8",
        "the description changed and its version did not",
        "raise the version by one with each change",
    ),
    FindingCode(
        "sdp-version-step",
        _I,
        "RFC 3264 8",
        "the version did not change by one",
        "raise the version by one with each change",
    ),
    FindingCode(
        "sdp-media-changed",
        _W,
        "RFC 3264 8.3.3",
        "a media line in use changed its media type",
        "remove the line and add another",
    ),
    FindingCode(
        "sdp-payload-type-changed",
        _E,
        "RFC 3264 8.3.2",
        "a dynamic payload type changed its meaning",
        "use another payload type",
    ),
    FindingCode(
        "sdp-answer-line-count",
        _E,
        "RFC 3264 6",
        "the answer does not have the media lines of the offer",
        "answer each media line in its place",
    ),
    FindingCode(
        "sdp-answer-timing", _W, "RFC 3264 6", "t= of the answer is not that of the offer", "copy t= from the offer"
    ),
    FindingCode(
        "sdp-answer-media",
        _E,
        "RFC 3264 6",
        "a media line is answered with another media type",
        "answer each media line in its place",
    ),
    FindingCode(
        "sdp-answer-protocol",
        _E,
        "RFC 3264 6",
        "a media line is answered with another protocol",
        "answer with the offered protocol or with port 0",
    ),
    FindingCode(
        "sdp-answer-port", _E, "RFC 3264 6", "a removed media line is answered with a port", "answer port 0 with port 0"
    ),
    FindingCode(
        "sdp-answer-format",
        _E,
        "RFC 3264 6.1",
        "the answer accepts no usable format of the offer",
        "answer with formats of the offer",
    ),
    FindingCode(
        "sdp-answer-payload-type",
        _W,
        "RFC 3264 6.1",
        "a format is answered with another payload type",
        "answer with the payload types of the offer",
    ),
    FindingCode(
        "sdp-answer-direction",
        _E,
        "RFC 3264 6.1",
        "the direction of the answer does not fit the offer",
        "answer sendonly with recvonly or inactive, inactive with inactive",
    ),
    FindingCode(
        "sdp-answer-label",
        _W,
        "RFC 7866 7.2",
        "the answer does not repeat the label of the offer",
        "copy a=label into each answered media section",
    ),
    FindingCode(
        "sdp-answer-address",
        _E,
        "RFC 3264 6",
        "the answer tells no address to send to",
        "answer with a numeric unicast address in c=",
    ),
    FindingCode(
        "sdp-answer-rtcp-mux",
        _E,
        "RFC 5761 5.1.1",
        "rtcp-mux is answered wrongly",
        "answer a=rtcp-mux only where it was offered; answer a=rtcp-mux-only with it",
    ),
    FindingCode(
        "sdp-answer-rtpmap",
        _W,
        "RFC 3264 6.1",
        "a dynamic payload type of the answer has no rtpmap",
        "repeat a=rtpmap for each dynamic payload type",
    ),
    FindingCode(
        "sdp-answer-crypto",
        _E,
        "RFC 4568 5.1.3",
        "the answer does not accept exactly one of the a=crypto lines that were offered",
        "answer with tag and suite of one offered a=crypto line and with a key of your own",
    ),
    FindingCode(
        "sdp-answer-events",
        _W,
        "RFC 4733 2.4.1",
        "telephone-event is answered without its events",
        "answer with a=fmtp:<payload type> 0-15",
    ),
)
