from siprec_core.metadata.notes import Notes
from siprec_core.metadata.xml_tree import open_xml
from tests.core.metadata.documents import LIMITS

TEXT = b"\xef\xbb\xbf<recording>\n<a/>\n  <b/></recording>"


def notes(limit: int = 10) -> Notes:
    return Notes(open_xml(TEXT, limits=LIMITS), limit)


def test_each_code_is_told_once_for_each_place_in_the_form() -> None:
    made = notes()
    made.note("metadata-dialect", "a", "first", (0, 0))
    assert not made.is_new("metadata-dialect", "a")
    assert made.is_new("metadata-dialect", "b")
    made.note("metadata-dialect", "a", "second", (1, 0))
    made.note("metadata-dialect", "b", None, (1, 0))
    made.note("metadata-label-repeated", "b")
    assert [(each.code, each.where, each.line, each.column) for each in made.findings()] == [
        ("metadata-byte-order-mark", "encoding", None, None),
        ("metadata-dialect", "a", 2, 1),
        ("metadata-dialect", "b", 3, 3),
        ("metadata-label-repeated", "b", None, None),
    ]
    assert made.findings()[1].message == "first"


def test_findings_are_bounded() -> None:
    made = notes(2)
    for number in range(5):
        made.note("metadata-dialect", str(number))
    assert [each.where for each in made.findings()] == ["encoding", "0"]
    assert len(notes(0).findings()) == 0
