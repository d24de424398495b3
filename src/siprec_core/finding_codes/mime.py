"""Findings about message bodies (RFC 2046, RFC 5621)."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_W, _I = Severity.WARNING, Severity.INFO

MIME_CODES = (
    FindingCode(
        "mime-no-content-type",
        _W,
        "RFC 3261 7.4.1",
        "the message has a body but no Content-Type",
        "let the sender name the type of the body",
    ),
    FindingCode(
        "mime-bare-lf",
        _W,
        "RFC 2046 5.1.1",
        "multipart lines end in LF without CR",
        "end the lines around parts with CRLF",
    ),
    FindingCode(
        "mime-unterminated",
        _W,
        "RFC 2046 5.1.1",
        "the closing delimiter of the multipart body is missing",
        "end the body with the delimiter and two hyphens",
    ),
    FindingCode(
        "mime-part-length",
        _I,
        "RFC 2046 5.1",
        "the Content-Length of a part is not its length; the delimiter counts",
        "leave Content-Length out of the parts",
    ),
    FindingCode(
        "mime-part-header",
        _W,
        "RFC 2046 5.1",
        "the header of a part is malformed",
        "write header fields, an empty line, then the content",
    ),
    FindingCode(
        "mime-part-type",
        _W,
        "RFC 2045 5.1",
        "the Content-Type of a part cannot be read",
        "write type and subtype with a slash between them",
    ),
)
