"""Findings about SIP messages and signalling (RFC 3261)."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

SIP_CODES = (
    FindingCode("sip-malformed", _E, "RFC 3261 7", "the SIP message cannot be parsed", "correct the sender"),
    FindingCode(
        "sip-bare-lf", _W, "RFC 3261 7", "lines end in LF without CR", "let the sender end every header line with CRLF"
    ),
    FindingCode(
        "sip-start-line-blanks",
        _W,
        "RFC 3261 7.1",
        "the start line has blanks too many or too few",
        "separate the three elements of the start line by single blanks",
    ),
    FindingCode(
        "sip-blank-before-colon",
        _I,
        "RFC 3261 7.3.1",
        "a blank stands before the colon of a header field",
        "write the colon directly behind the name",
    ),
    FindingCode(
        "sip-repeated-field",
        _W,
        "RFC 3261 7.3.1",
        "a header field that stands once is repeated with the same value",
        "send the field once",
    ),
    FindingCode(
        "sip-excess-octets",
        _I,
        "RFC 3261 18.3",
        "the datagram goes on behind the body",
        "send as many octets as Content-Length says",
    ),
    FindingCode(
        "sip-bracket-missing",
        _W,
        "RFC 3261 20.10",
        "an address with a display name lacks angle brackets",
        "write <> around the address",
    ),
    FindingCode(
        "sip-bracket-unclosed",
        _W,
        "RFC 3261 20.10",
        "an angle bracket around an address is never closed",
        "close the bracket behind the address",
    ),
    FindingCode(
        "sip-bracket-doubled",
        _W,
        "RFC 3261 20.10",
        "an address stands in more than one pair of angle brackets",
        "write one pair of brackets",
    ),
    FindingCode(
        "sip-bracket-blanks",
        _W,
        "RFC 4475 3.1.2.14",
        "blanks stand inside the angle brackets of an address",
        "write the brackets directly around the address",
    ),
    FindingCode(
        "sip-display-name",
        _W,
        "RFC 4475 3.1.2.15",
        "a display name that is not made of tokens lacks quotes",
        "put the display name in quotes",
    ),
    FindingCode(
        "sip-quote-unbalanced", _W, "RFC 4475 3.1.2.6", "a quote is never closed", "close the quote of the display name"
    ),
    FindingCode(
        "sip-uri-no-scheme", _W, "RFC 3261 19.1.1", "an address has no URI scheme", "write sip: before the address"
    ),
    FindingCode(
        "sip-uri-headers",
        _W,
        "RFC 3261 19.1.1",
        "the Request-URI carries header fields; they are ignored",
        "leave the question mark and what follows out of the Request-URI",
    ),
    FindingCode(
        "sip-parameter-empty",
        _W,
        "RFC 3261 7.3.1",
        "a parameter or its value is empty",
        "leave the parameter or the equals sign out",
    ),
    FindingCode(
        "sip-parameter-repeated",
        _W,
        "RFC 3261 7.3.1",
        "a parameter stands more than once; the first one counts",
        "send each parameter once",
    ),
    FindingCode(
        "sip-contact-malformed",
        _E,
        "RFC 3261 20.10",
        "a Contact cannot be read",
        "correct the Contact, later requests go there",
    ),
    FindingCode(
        "siprec-no-require",
        _W,
        "RFC 7866 6.1.1",
        "Require does not list siprec",
        "let the client send Require: siprec",
    ),
    FindingCode(
        "siprec-no-feature-tag",
        _W,
        "RFC 7866 6.1.1",
        "Contact has no +sip.src feature tag",
        "let the client add ;+sip.src behind the Contact address",
    ),
    FindingCode(
        "digest-malformed",
        _E,
        "RFC 7616 3",
        "a challenge or the credentials of a request cannot be read",
        "correct the sender of the authentication header field",
    ),
    FindingCode(
        "digest-quoting",
        _W,
        "RFC 7616 3.4",
        "a parameter of a challenge or of credentials has quotes too many or too few",
        "quote username, realm, nonce, uri, response, cnonce and opaque, but not algorithm, qop and nc of credentials",
    ),
    FindingCode(
        "digest-other-scheme",
        _I,
        "RFC 8760 2.6",
        "an authentication scheme that is not Digest is ignored",
        "let the peer use Digest",
    ),
    FindingCode(
        "digest-no-qop",
        _W,
        "RFC 8760 2.6",
        "the credentials of a request have no qop, which every challenge offers",
        "let the client answer with qop, nc and cnonce",
    ),
    FindingCode(
        "digest-other-uri",
        _W,
        "RFC 7616 3.4",
        "the credentials of a request are for another Request-URI",
        "let the client sign the Request-URI it sends, and proxies on the way leave it as it is",
    ),
    FindingCode(
        "digest-refused",
        _W,
        "RFC 3261 22.2",
        "the credentials of a request were refused",
        "check user, password and realm of the client; many refusals of one address are an attack",
    ),
    FindingCode(
        "digest-replay",
        _W,
        "RFC 7616 5.5",
        "the credentials of a request were used before",
        "let the client count each request with nc; when it does, somebody else repeats its requests",
    ),
)
