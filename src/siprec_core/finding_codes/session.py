"""Findings about recording sessions (RFC 7866) and what we do with them."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

SESSION_CODES = (
    FindingCode(
        "siprec-feature-tag-form",
        _W,
        "RFC 7866 6.1.1",
        "the Contact's feature tag is not the parameter +sip.src behind the address",
        "let the client write <sip:...>;+sip.src",
    ),
    FindingCode(
        "siprec-no-metadata",
        _I,
        "RFC 7866 9.1",
        "the first INVITE carries no metadata",
        "let the client send a full snapshot in the first INVITE",
    ),
    FindingCode(
        "body-second-offer",
        _W,
        "RFC 5621 4",
        "the body has a second SDP part; the first one counts",
        "let the client send one SDP part",
    ),
    FindingCode(
        "body-second-metadata",
        _W,
        "RFC 7866 9.1",
        "the body has a second metadata part; the first one counts",
        "let the client send one metadata part",
    ),
    FindingCode(
        "body-unknown-part",
        _W,
        "RFC 5621 8.2",
        "a body part of a type that is not understood is not marked handling=optional",
        "let the client mark what a recorder need not understand",
    ),
    FindingCode(
        "sip-ack-mismatch",
        _W,
        "RFC 3261 13.2.2.4",
        "the ACK's CSeq number is not that of its INVITE",
        "correct the client: it may take a lost answer for acknowledged",
    ),
    FindingCode(
        "ack-no-answer",
        _W,
        "RFC 3261 13.2.2.4",
        "the ACK has no answer to the offer in our 200",
        "let the client answer the offer of a 200 in its ACK",
    ),
    FindingCode(
        "progress-reliable",
        _W,
        "RFC 3262 3",
        "a 1xx to our INVITE is reliable, which we had not said that we support; it was acknowledged",
        "let the server send 1xx reliably only where 100rel is in Supported or Require",
    ),
    FindingCode(
        "change-refused",
        _W,
        "RFC 3261 14.1",
        "the client refused a re-INVITE or UPDATE of ours; the session goes on as it was",
        "let the client take what a recorder asks for: hold, resume, session refresh, snapshot",
    ),
    FindingCode(
        "snapshot-not-possible",
        _W,
        "RFC 7866 9.2",
        "a snapshot of the metadata is needed, but the client does not allow UPDATE",
        "let the client take UPDATE and list it in Allow",
    ),
    FindingCode(
        "limit-reached",
        _W,
        "",
        "the recording was ended because it reached a limit",
        "raise the limit if such recordings are wanted",
    ),
    FindingCode(
        "answer-no-feature-tag",
        _E,
        "RFC 7866 6.2",
        "the server's Contact has no +sip.srs feature tag",
        "let the server add ;+sip.srs behind its Contact address",
    ),
    FindingCode(
        "answer-body-type",
        _W,
        "RFC 3261 13.2.1",
        "the answer to the INVITE is not a plain application/sdp body",
        "let the server answer with SDP alone: many clients read nothing else",
    ),
    FindingCode(
        "answer-no-allow",
        _I,
        "RFC 3261 13.3.1.4",
        "the 200 does not tell in Allow which methods the server takes",
        "let the server add Allow",
    ),
    FindingCode(
        "metadata-label-without-line",
        _W,
        "RFC 7865 6.7.1",
        "a stream of the metadata has a label that no media line has",
        "let the client use one label for the stream and its media line",
    ),
    FindingCode(
        "body-malformed",
        _E,
        "RFC 2046 5.1",
        "the body cannot be taken apart into its parts",
        "correct boundary, delimiters and transfer encodings",
    ),
    FindingCode(
        "metadata-disposition",
        _W,
        "RFC 7866 9",
        "the metadata has no Content-Disposition: recording-session",
        "let the client mark its metadata with Content-Disposition: recording-session",
    ),
    FindingCode(
        "file-unknown", _E, "", "the file is nothing that can be decoded", "give one message or capture a file"
    ),
    FindingCode(
        "file-content-length",
        _E,
        "RFC 3261 20.14",
        "Content-Length does not tell the size of the body",
        "count the octets of the body; saving a message with other line ends changes their number",
    ),
    FindingCode(
        "file-message-end",
        _W,
        "RFC 3261 7",
        "the file ends within the header of the message",
        "end the header with an empty line",
    ),
    FindingCode("storage-full", _E, "", "the disk is full", "free space; the call goes on meanwhile"),
    FindingCode("storage-failed", _E, "", "a file could not be written", "check disk and permissions"),
    FindingCode(
        "render-failed",
        _E,
        "",
        "the final files could not be made",
        "the journal keeps everything: run siprec render on it",
    ),
)
