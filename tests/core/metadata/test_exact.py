"""What is in the exact form is read at once, and read like everything else."""

from contextlib import ExitStack
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.metadata import exact
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.reader import ParsedMetadata, read_metadata
from siprec_core.metadata.writer import write_metadata
from siprec_core.metadata.xml_tree import parse_xml
from tests.core.metadata.documents import DOCUMENTS, LIMITS, RFC, document, load, uid

READERS = [name for name in vars(exact) if name.startswith("exact_")]
P, S, T = uid("p"), uid("s"), uid("t")
TIME = "2024-05-01T10:00:00Z"


def read_slowly(data: bytes, limits: Limits = LIMITS) -> ParsedMetadata:
    """Read a document piece by piece."""
    with ExitStack() as stack:
        for name in READERS:
            stack.enter_context(patch.object(exact, name, lambda *_: None))
        return read_metadata(data, limits=limits)


def test_every_kind_of_object_has_its_reader() -> None:
    assert len(READERS) == 7


@settings(max_examples=60)
@given(DOCUMENTS)
def test_any_document_is_read_alike(document: MetadataDocument) -> None:
    data = write_metadata(document)
    assert read_metadata(data, limits=LIMITS) == read_slowly(data)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_document_is_read_alike(data: st.DataObject) -> None:
    text = load("complete").decode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        put = data.draw(st.sampled_from([" ", "x", "\n", "<x/>", " id='y'", "<!-- z -->", "", "Z", "<send/>"]))
        text = text[:at] + put + text[at + data.draw(st.integers(0, 2)) :]
    parsed, slowly = read_metadata(text.encode(), limits=LIMITS), read_slowly(text.encode())
    assert (parsed.document, parsed.findings) == (slowly.document, slowly.findings)


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


@pytest.mark.parametrize("place", ["<name>{}</name>", "<name xml:lang='{}'>x</name>"])
def test_bound_on_text_holds(place: str) -> None:
    inner = place.format("a" * 101)
    body = f"<participant participant_id='{P}'><nameID aor='sip:a@b'>{inner}</nameID></participant>"
    data, limits = document(body).encode(), Limits(xml_text_size=100)
    parsed = read_metadata(data, limits=limits)
    assert [each.code for each in parsed.findings] == ["metadata-too-large"]
    assert parsed.findings == read_slowly(data, limits).findings


@pytest.mark.parametrize("name", ["session", "stream"])
def test_exact_form_is_really_taken_at_once(name: str) -> None:
    body = {
        "session": f"<session {RFC} session_id='{S}'><start-time>{TIME}</start-time></session>",
        "stream": f"<stream {RFC} stream_id='{T}' session_id='{S}'><label>1</label></stream>",
    }[name]
    root = parse_xml(body.encode(), limits=LIMITS).root
    assert root is not None
    assert getattr(exact, f"exact_{name}")(root, lambda text: text, 100) is not None
