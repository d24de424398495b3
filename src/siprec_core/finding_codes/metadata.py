"""Findings about recording metadata (RFC 7865)."""

from siprec_core.finding_codes.entry import FindingCode, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

METADATA_CODES = (
    FindingCode(
        "metadata-malformed",
        _E,
        "RFC 7865 5.1",
        "the metadata is not well-formed XML",
        "escape & and < in names and addresses",
    ),
    FindingCode(
        "metadata-repaired",
        _E,
        "RFC 7865 5.1",
        "the metadata is not well-formed XML and was read after a repair",
        "escape & and < in names and addresses, and send UTF-8",
    ),
    FindingCode(
        "metadata-doctype", _E, "RFC 7865 5", "a document type declaration is refused", "leave the DOCTYPE out"
    ),
    FindingCode(
        "metadata-too-large", _E, "", "the metadata passes a bound of this server", "send less, or raise the limit"
    ),
    FindingCode("metadata-encoding", _E, "RFC 7865 5.1", "the encoding of the metadata is not read", "send UTF-8"),
    FindingCode(
        "metadata-charset",
        _W,
        "RFC 7865 5.1",
        "charset parameter, XML declaration and octets do not agree",
        "send UTF-8 and say so once",
    ),
    FindingCode(
        "metadata-byte-order-mark",
        _I,
        "RFC 7303 3.3",
        "a byte order mark stands before the document",
        "leave the mark out",
    ),
    FindingCode(
        "metadata-leading-space",
        _W,
        "RFC 7865 5.1",
        "white space stands before the XML declaration",
        "begin the body with the declaration",
    ),
    FindingCode(
        "metadata-trailing-octets",
        _W,
        "RFC 7865 5.1",
        "NUL octets stand behind the document",
        "end the body with the document",
    ),
    FindingCode(
        "metadata-root", _E, "RFC 7865 5.1.2", "the root element is not recording", "send a recording element as root"
    ),
    FindingCode(
        "metadata-namespace",
        _E,
        "RFC 7865 6.11",
        "the namespace of the document or of an element is not that of RFC 7865",
        "use the namespace urn:ietf:params:xml:ns:recording:1",
    ),
    FindingCode(
        "metadata-dialect",
        _W,
        "RFC 7865 6.11",
        "the document follows a format older than RFC 7865",
        "write the format of RFC 7865",
    ),
    FindingCode(
        "seed-dialect",
        _W,
        "RFC 7865 6.11",
        "the document follows an early format without associations; it was translated",
        "write the format of RFC 7865",
    ),
    FindingCode(
        "send-by-session",
        _W,
        "RFC 7865 6.8.1",
        "send or recv names a session; all streams of the session were taken",
        "name a stream",
    ),
    FindingCode(
        "mode-separate-but-shared",
        _W,
        "RFC 7865 6.8.1",
        "a stream said to be separate has more than one sender",
        "let one participant send a separate stream",
    ),
    FindingCode(
        "metadata-no-association",
        _W,
        "RFC 7865 6.8.1",
        "an association is only implied; it was added",
        "write participantsessionassoc and participantstreamassoc",
    ),
    FindingCode(
        "metadata-id-attribute",
        _E,
        "RFC 7865 9",
        "an attribute that refers to an object has another name",
        "use the attribute names of the schema",
    ),
    FindingCode(
        "metadata-unknown-attribute",
        _W,
        "RFC 7865 9",
        "an attribute is not in the schema",
        "put extension data into elements of another namespace",
    ),
    FindingCode(
        "metadata-missing-attribute", _E, "RFC 7865 9", "a required attribute is missing", "send the attribute"
    ),
    FindingCode("metadata-missing-element", _E, "RFC 7865 9", "a required element is missing", "send the element"),
    FindingCode(
        "metadata-unknown-element",
        _W,
        "RFC 7865 9",
        "an element of the recording namespace is not in the schema; it was kept",
        "use a namespace of your own for extension data",
    ),
    FindingCode(
        "metadata-misplaced-element",
        _W,
        "RFC 7865 9",
        "an element stands where the schema does not allow it",
        "follow the schema",
    ),
    FindingCode(
        "metadata-repeated-element",
        _W,
        "RFC 7865 9",
        "an element that may stand once is repeated; the first counts",
        "send it once",
    ),
    FindingCode(
        "metadata-element-order",
        _W,
        "RFC 7865 9",
        "elements do not stand in the order of the schema",
        "follow the order of the schema",
    ),
    FindingCode(
        "metadata-element-name",
        _W,
        "RFC 7865 9",
        "an element has the name of another one",
        "use the element names of the schema",
    ),
    FindingCode(
        "metadata-name-case",
        _W,
        "RFC 7865 9",
        "the letters of an element name have the wrong case",
        "use the element names of the schema",
    ),
    FindingCode(
        "metadata-nested-text", _W, "RFC 7865 9", "elements stand where the schema has text", "send plain text"
    ),
    FindingCode(
        "metadata-stray-text", _W, "RFC 7865 9", "text stands between elements; it was left out", "leave the text out"
    ),
    FindingCode(
        "metadata-datamode",
        _W,
        "RFC 7865 5.1.2",
        "datamode is neither complete nor partial",
        "send complete or partial in lower case",
    ),
    FindingCode(
        "metadata-id-syntax",
        _W,
        "RFC 7865 6.10",
        "an id is not the base64 of a 16-octet UUID; it was taken as it is",
        "encode the 16 octets of a UUID in base64",
    ),
    FindingCode(
        "metadata-duplicate-id",
        _E,
        "RFC 7865 6.10",
        "two objects of a kind have the same id",
        "give each object an id of its own",
    ),
    FindingCode(
        "metadata-id-reused",
        _E,
        "RFC 7865 6.10",
        "one id stands for objects of two kinds",
        "give each object an id of its own",
    ),
    FindingCode(
        "metadata-dangling-reference",
        _W,
        "RFC 7865 6",
        "an id refers to an object that was not described",
        "describe the object in the same document",
    ),
    FindingCode(
        "metadata-time-syntax", _W, "RFC 7865 6.9", "a date-time is not as in RFC 3339", "write the time in UTC with Z"
    ),
    FindingCode(
        "metadata-time-unknown", _E, "RFC 7865 6.9", "a date-time cannot be understood", "write the time in UTC with Z"
    ),
    FindingCode(
        "metadata-time-order", _W, "RFC 7865 6.9", "an end lies before its beginning", "correct the clock or the times"
    ),
    FindingCode(
        "metadata-partial-first",
        _W,
        "RFC 7866 9.1",
        "a partial document came before any complete one",
        "send a complete document first",
    ),
    FindingCode(
        "metadata-objects",
        _E,
        "",
        "the metadata of the recording passes a bound; the rest was left out",
        "describe fewer objects, or raise the limit",
    ),
    FindingCode(
        "metadata-id-no-uuid",
        _I,
        "RFC 7865 6.10",
        "an id is the base64 of 16 octets that are no UUID; it was taken as it is",
        "make ids from random UUIDs (version 4)",
    ),
    FindingCode(
        "metadata-id-host",
        _W,
        "RFC 7865 6.10",
        "an id is a UUID that gives away the hardware address of its maker",
        "make ids from random UUIDs (version 4)",
    ),
    FindingCode(
        "metadata-sip-session-id",
        _I,
        "RFC 7989 5",
        "sipSessionID is not the value of a Session-ID header field",
        "copy the Session-ID of the call on one line, and leave the element out when there is none",
    ),
    FindingCode(
        "metadata-aor-form",
        _I,
        "RFC 7865 6.5.1",
        "an address of record is neither a SIP or tel URI nor a domain name or address",
        "write sip:user@host, or tel: before a number",
    ),
    FindingCode(
        "metadata-language",
        _I,
        "RFC 5646 2.1",
        "xml:lang is not a language tag",
        "write a tag such as en, or leave the attribute out",
    ),
    FindingCode(
        "metadata-label-repeated",
        _W,
        "RFC 7865 6.7.1",
        "two streams have the same label, which can name one media line only",
        "give each stream the label of its own media line",
    ),
    FindingCode(
        "metadata-send-crossed",
        _I,
        "RFC 7865 6.8.1",
        "each of two participants is said to send the other's stream, judged by the order",
        "check that send names what the participant says, not what it hears",
    ),
    FindingCode(
        "metadata-no-recording-time",
        _I,
        "RFC 7865 6.4",
        "nothing tells since when a session is recorded",
        "write a sessionrecordingassoc for each session",
    ),
    FindingCode(
        "metadata-session-without-stream",
        _I,
        "RFC 7865 6.7",
        "one of several sessions has no stream",
        "name in each stream the session that it belongs to",
    ),
    FindingCode(
        "metadata-no-session",
        _I,
        "RFC 7865 6.3",
        "there are participants and no session that they take part in",
        "describe the session in each complete document",
    ),
    FindingCode(
        "metadata-time-before-session",
        _W,
        "RFC 7865 6.6.1",
        "a participant joins a session before it begins",
        "correct associate-time or start-time",
    ),
    FindingCode(
        "metadata-stream-moved",
        _W,
        "RFC 7865 6.7",
        "a stream has moved to another session",
        "give the streams of a new session ids of their own",
    ),
    FindingCode(
        "metadata-identity-changed",
        _I,
        "RFC 7865 6.5.1",
        "a participant has become somebody else under the same id",
        "give another person another participant_id",
    ),
    FindingCode(
        "metadata-streams-not-cleared",
        _W,
        "RFC 7865 6.8.1",
        "a participant has left and its association still names streams; they were taken as ended",
        "send a participantstreamassoc without send and recv for who leaves",
    ),
    FindingCode(
        "metadata-clock",
        _W,
        "RFC 7865 6.9",
        "the times are not those of the call: the clock of the client is wrong",
        "set the clock of the client, and write its zone",
    ),
    FindingCode(
        "metadata-time-backwards",
        _W,
        "RFC 7865 6.9",
        "an update tells an end that lies before what was told earlier",
        "write when it happened, not when the call began",
    ),
)
