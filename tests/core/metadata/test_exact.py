"""What is in the exact form is read at once, and read like everything else."""

from dataclasses import fields, replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.metadata import exact, reader
from siprec_core.metadata.exact import read_exact
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.reader import ParsedMetadata, read_metadata
from siprec_core.metadata.writer import write_metadata
from tests.benchmarks.messages import call
from tests.core.metadata.documents import DOCUMENTS, LIMITS, document, load, uid

EXACT = call(1).metadata.decode()
DAMAGE = (
    *(
        " ",
        "x",
        "\n",
        "\t",
        "\r\n",
        "<x/>",
        " id='y'",
        "<!-- z -->",
        "",
        "Z",
        "<send/>",
        "&amp;",
        "&",
        "<",
        ">",
        "]]>",
        '"',
    ),
    *("é", "\x00", "\x0b", "\x85", "\xa0", "\ufffe", "\uffff", "\ud800", "\U0001f600", "<?p?>", "<![CDATA[x]]>"),
)
P, S, T = uid("p"), uid("s"), uid("t")
TIME = "2024-05-01T10:00:00Z"


def read_slowly(data: bytes, limits: Limits = LIMITS) -> ParsedMetadata:
    """Read a document piece by piece."""
    with patch.object(reader, "read_exact", lambda *_, **__: None):
        return read_metadata(data, limits=limits)


def plain(document: MetadataDocument) -> MetadataDocument:
    """Give a document without what has no exact form: extensions, reasons, parameters, empty values."""

    def bare(item: object) -> object:
        values = {name: () for name in ("extensions", "reasons", "parameters") if hasattr(item, name)}
        return replace(item, **values)  # type: ignore[type-var]

    kinds = [each.name for each in fields(document) if each.name.endswith(("s", "associations"))]
    changed = {name: tuple(map(bare, getattr(document, name))) for name in kinds if name != "extensions"}
    return replace(document, extensions=(), **changed)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(DOCUMENTS)
def test_any_document_is_read_alike(document: MetadataDocument) -> None:
    for data in (write_metadata(document), write_metadata(plain(document))):
        assert read_metadata(data, limits=LIMITS) == read_slowly(data)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_document_is_read_alike(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([EXACT, load("complete").decode()]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        put = data.draw(st.sampled_from(DAMAGE))
        text = text[:at] + put + text[at + data.draw(st.integers(0, 2)) :]
    octets = text.encode("utf-8", "surrogatepass")
    parsed, slowly = read_metadata(octets, limits=LIMITS), read_slowly(octets)
    assert (parsed.document, parsed.findings) == (slowly.document, slowly.findings)


OBJECTS = {
    "group": f'<group group_id="{S}"> <associate-time>{TIME}</associate-time>\n</group>',
    "session": f'<session session_id="{S}"><sipSessionID>a</sipSessionID><sipSessionID>b</sipSessionID>'
    f"<group-ref>g</group-ref><start-time> {TIME} </start-time><stop-time>{TIME}</stop-time></session>",
    "empty session": f'<session\tsession_id="{S}" ></session>',
    "participant": f'<participant participant_id="{P}"><nameID aor="sip:a@b"><name xml:lang="de">Änne '
    '\'Å\'</name></nameID><nameID aor="tel:+1"/><nameID aor="x"><name></name></nameID></participant>',
    "stream": f'<stream stream_id="{T}" session_id="{S}">\r\n<label> 1 </label>\r\n</stream>',
    "recording": f'<sessionrecordingassoc session_id="{S}"></sessionrecordingassoc>',
    "membership": f'<participantsessionassoc participant_id="{P}" session_id="{S}">'
    f"<disassociate-time>{TIME}</disassociate-time></participantsessionassoc>",
    "flow": f'<participantstreamassoc participant_id="{P}"><send>{T}</send> <send>{S}</send><recv>\n{T}</recv>'
    f"<associate-time>{TIME}</associate-time></participantstreamassoc>",
}
ODD = [
    f"<group group_id='{S}'> x <associate-time>{TIME}</associate-time></group>",
    f"<group group_id='{S}'><associate-time/></group>",
    f"<group group_id='{S}'><disassociate-time>{TIME}</disassociate-time>"
    f"<associate-time>{TIME}</associate-time></group>",
    f"<session session_id='{S}'><start-time>2024-05-01T10:00:00</start-time></session>",
    f"<session session_id='{S}'><stop-time>{TIME}</stop-time><start-time>{TIME}</start-time></session>",
    f"<session session_id='{S}'><group-ref>g</group-ref><sipSessionID>x</sipSessionID></session>",
    f"<session session_id='{S}'><group-ref>g</group-ref><group-ref>h</group-ref></session>",
    f"<session session_id=' {S} ' x=''/>",
    f"<session session_id='{S}'><reason cause='16'>moved</reason></session>",
    "<session/>",
    f"<participant participant_id='{P}'/>",
    f"<participant participant_id='{P}'><nameID aor='sip:a@b'><name>a</name><name>b</name></nameID></participant>",
    f"<participant participant_id='{P}'><nameID aor='sip:a@b'>x<name>a</name></nameID></participant>",
    f"<participant participant_id='{P}'><nameID aor='sip:a@b'><name>a<i/></name></nameID></participant>",
    f"<participant participant_id='{P}'><nameID aor='sip:a@b'><name xml:lang='de' x=''>a</name></nameID></participant>",
    f"<participant participant_id='{P}'><nameID aor='sip:a@b' x=''/></participant>",
    f"<participant participant_id='{P}'><nameID/></participant>",
    f"<participant participant_id='{P}'><nameID aor='a'/>x</participant>",
    f"<participant participant_id='{P}'><label/></participant>",
    f"<stream stream_id='{T}' session_id='{S}'/>",
    f"<stream stream_id='{T}'><label>1</label></stream>",
    f"<stream stream_id='{T}' session_id='{S}'><label>1</label><label>2</label></stream>",
    f"<stream stream_id='{T}' session_id='{S}'><label a=''>1</label></stream>",
    f"<stream stream_id='{T}' session_id='{S}'><mode>mixed</mode></stream>",
    f"<stream stream_id='{T}' session_id='{S}' media_label='2'><label>1</label></stream>",
    f"<sessionrecordingassoc session_id='{S}'><send>x</send></sessionrecordingassoc>",
    f"<participantsessionassoc participant_id='{P}' session_id='{S}'><param pname='a' pval='b'/>"
    "</participantsessionassoc>",
    f"<participantsessionassoc participant_id='{P}'/>",
    f"<participantstreamassoc participant_id='{P}'><recv>{T}</recv><send>{T}</send></participantstreamassoc>",
    f"<participantstreamassoc participant_id='{P}'><send/></participantstreamassoc>",
    f"<participantstreamassoc participant_id='{P}'><send><id>{T}</id></send></participantstreamassoc>",
    f"<participantstreamassoc participant_id='{P}'><associate-time>{TIME}</associate-time><send>{T}</send>"
    "</participantstreamassoc>",
    f"<participantstreamassoc participant_id='{P}'><disassociate-time>x</disassociate-time></participantstreamassoc>",
]


@pytest.mark.parametrize("body", ODD)
def test_odd_object_is_read_alike(body: str) -> None:
    data = document(body).encode()
    assert read_metadata(data, limits=LIMITS) == read_slowly(data)


@pytest.mark.parametrize("body", OBJECTS.values(), ids=OBJECTS)
def test_object_in_the_exact_form_is_read_at_once(body: str) -> None:
    data = document(body).encode()
    assert read_exact(data, limits=LIMITS) is not None
    assert read_metadata(data, limits=LIMITS) == read_slowly(data)


def test_whole_document_is_read_at_once_with_the_places_of_its_objects() -> None:
    read = read_exact(EXACT.encode(), limits=LIMITS)
    assert read is not None
    assert read[1].of("session", 0) == (1, 0)
    assert read[1].of("participantstreamassoc", 1) == (10, 0)
    assert read_metadata(EXACT.encode(), limits=LIMITS) == read_slowly(EXACT.encode())


@pytest.mark.parametrize("end", ["", "</recording", "</recording>x", "</recording><!-- -->", "</recording><a/>"])
def test_document_that_does_not_end_with_its_root_is_not_exact(end: str) -> None:
    data = (document("")[: -len("</recording>")] + end).encode()
    assert read_exact(data, limits=LIMITS) is None
    assert read_metadata(data, limits=LIMITS).findings == read_slowly(data).findings


@pytest.mark.parametrize("size", [60, 150, 1_000, 3_000])
def test_document_in_pieces_is_read_as_a_whole_one(size: int) -> None:
    whole = read_exact(EXACT.encode(), limits=LIMITS)
    with patch.object(exact, "PIECE_SIZE", size):
        assert read_exact(EXACT.encode(), limits=LIMITS) == (None if size == 60 else whole)


def test_object_that_does_not_fit_into_what_is_carried_on_is_not_exact() -> None:
    with patch.object(exact, "PIECE_SIZE", 100), patch.object(exact, "_OBJECT_SIZE", 100):
        assert read_exact(EXACT.encode(), limits=LIMITS) is None


@pytest.mark.parametrize("place", ["<name>{}</name>", "<name xml:lang='{}'>x</name>"])
def test_bound_on_text_holds(place: str) -> None:
    inner = place.format("a" * 101)
    body = f"<participant participant_id='{P}'><nameID aor='sip:a@b'>{inner}</nameID></participant>"
    data, limits = document(body).encode(), Limits(xml_text_size=100)
    parsed = read_metadata(data, limits=limits)
    assert [each.code for each in parsed.findings] == ["metadata-too-large"]
    assert parsed.findings == read_slowly(data, limits).findings
