import xml.etree.ElementTree as ET

import pytest

from siprec_core.limits import Limits
from siprec_core.metadata import vocabulary as forms
from siprec_core.metadata.element_reader import ElementReader, TooLargeError
from siprec_core.metadata.model import RFC7865_NAMESPACE, Attribute, Dialect, Element
from siprec_core.metadata.origins import ROOT
from siprec_core.metadata.xml_tree import XmlTree, parse_xml
from tests.core.metadata.documents import LIMITS, RFC


def opened(text: str, limits: Limits = LIMITS) -> tuple[ElementReader, ET.Element]:
    tree = parse_xml(text.encode(), limits=LIMITS)
    assert tree.root is not None
    return ElementReader(tree, Dialect.RFC7865, RFC7865_NAMESPACE, limits), tree.root


def codes(reader: ElementReader) -> list[tuple[str, str]]:
    return [(each.code, each.where) for each in reader.findings()]


@pytest.mark.requirement("7865-9-d")
def test_object_in_its_form_is_sorted_without_findings() -> None:
    reader, root = opened(f'<session {RFC} session_id=" a "><reason cause="1"/><start-time>x</start-time></session>')
    parts = reader.open(root, forms.SESSION)
    assert parts.attributes == {"session_id": "a"}
    assert list(parts.children) == ["reason", "start-time"]
    assert parts.first("start-time") is root[1]
    assert parts.first("stop-time") is None
    assert list(parts.all("reason")) == [root[0]]
    assert codes(reader) == []


@pytest.mark.requirement("7865-9-a")
@pytest.mark.parametrize(
    ("inner", "finding"),
    [
        ("<stop-time/><start-time/>", ("metadata-element-order", "session")),
        ("<start-time/><start-time/>", ("metadata-repeated-element", "session/start-time")),
        ("<Start-Time/>", ("metadata-name-case", "session/Start-Time")),
        ("<end-time/>", ("metadata-element-name", "session/end-time")),
        ("<invented/>", ("metadata-unknown-element", "session/invented")),
        ("<label/>", ("metadata-unknown-element", "session/label")),
        ("text", ("metadata-stray-text", "session")),
        ("<start-time/>text", ("metadata-stray-text", "session")),
        ("<x xmlns='urn:example'/><start-time/>", ("metadata-element-order", "session")),
    ],
)
def test_deviation_of_children_is_noted(inner: str, finding: tuple[str, str]) -> None:
    reader, root = opened(f'<session {RFC} session_id="a">{inner}</session>')
    reader.open(root, forms.SESSION)
    assert codes(reader) == [finding]


@pytest.mark.requirement("7865-9-c")
@pytest.mark.parametrize(
    ("attributes", "code", "known"),
    [
        ('id="a"', "metadata-id-attribute", {"session_id": "a"}),
        ('session_id="b" id="a"', "metadata-id-attribute", {"session_id": "b"}),
        ('group="g"', "metadata-unknown-attribute", {"group-ref": "g"}),
        ('colour="red"', "metadata-unknown-attribute", {}),
        ('xmlns:e="urn:e" e:session_id="a"', "metadata-unknown-attribute", {}),
    ],
)
def test_deviation_of_attributes_is_noted(attributes: str, code: str, known: dict[str, str]) -> None:
    reader, root = opened(f"<session {RFC} {attributes}/>")
    assert reader.open(root, forms.SESSION).attributes == known
    assert [each for each, _ in codes(reader)] == [code]


def test_schema_location_is_no_deviation() -> None:
    reader, root = opened(
        f'<session {RFC} xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="a b"/>'
    )
    reader.open(root, forms.SESSION)
    assert codes(reader) == []


def test_deviation_is_noted_once_with_its_first_place() -> None:
    reader, root = opened(f"<recording {RFC}><datamode/><group>\n <one/>\n <two/>\n <one/></group></recording>")
    reader.number_children(root[:], 0)
    reader.current = root[1]
    reader.open(root[1], forms.GROUP)
    assert [(each.where, each.line, each.column) for each in reader.findings()] == [
        ("group/one", 2, 2),
        ("group/two", 3, 2),
    ]


def test_findings_are_bounded() -> None:
    reader, root = opened(f"<group {RFC}>{''.join(f'<e{n}/>' for n in range(30))}</group>", Limits(findings=5))
    reader.open(root, forms.GROUP)
    assert len(reader.findings()) == 5


@pytest.mark.requirement("7865-9-b", "7865-9-e")
def test_extension_is_kept_whole_and_in_order() -> None:
    reader, root = opened(
        f"<group {RFC}><b:x xmlns:b='urn:b' b:k='1' k='2'>one<y>two</y> three<z xmlns=''/>\n</b:x> \n"
        "<w xmlns='urn:w'/></group>"
    )
    first, second = reader.open(root, forms.GROUP).extensions
    assert first == Element(
        "urn:b",
        "x",
        (Attribute("urn:b", "k", "1"), Attribute(None, "k", "2")),
        "one",
        (Element(RFC7865_NAMESPACE, "y", text="two", tail=" three"), Element(None, "z", tail="\n")),
    )
    assert second == Element("urn:w", "w")


def test_wrapper_of_our_own_writer_is_taken_off() -> None:
    inner = "<label>x</label>"
    reader, root = opened(
        f"<group {RFC}><c:carried xmlns:c='{forms.CARRIED_NAMESPACE}'>{inner}{inner}</c:carried></group>"
    )
    assert reader.open(root, forms.GROUP).extensions == [Element(RFC7865_NAMESPACE, "label", text="x")] * 2
    assert codes(reader) == []


def test_nested_id_is_the_text() -> None:
    reader, root = opened("<send> <id> s-1 </id> </send>")
    assert reader.text(root, "send") == "s-1"
    assert codes(reader) == [("metadata-nested-text", "send")]


@pytest.mark.parametrize(
    "inner",
    [
        "<x xmlns='urn:x'>{long}</x>",
        "<x xmlns='urn:x' a='{long}'/>",
        "<x xmlns='urn:x'><y/>{long}</x>",
        "<x xmlns='urn:x'>" + "<y>" * 9 + "</y>" * 9 + "</x>",
        "<x xmlns='urn:x' a='' b='' c='' d='' e=''/>",
    ],
)
def test_extension_beyond_a_bound_is_refused(inner: str) -> None:
    limits = Limits(xml_text_size=100, xml_depth=10, xml_attributes=4)
    reader, root = opened(f"<group {RFC}>{inner.format(long='t' * 101)}</group>", limits)
    with pytest.raises(TooLargeError):
        reader.open(root, forms.GROUP)


def test_text_beyond_a_bound_is_refused() -> None:
    reader, root = opened(f"<label>{'t' * 101}</label>", Limits(xml_text_size=100))
    with pytest.raises(TooLargeError):
        reader.text(root, "label")


def test_too_many_attributes_are_refused_at_text_and_object() -> None:
    reader, root = opened("<group a='' b='' c=''/>", Limits(xml_attributes=2))
    with pytest.raises(TooLargeError):
        reader.open(root, forms.GROUP)
    with pytest.raises(TooLargeError):
        reader.text(root, "group")


def test_place_of_an_element() -> None:
    reader, root = opened(f"<recording {RFC}><group><a/><b/></group><group><a><c/></a></group></recording>")
    assert reader.place_of(root) == ROOT
    reader.number_children(root[1:], 5)
    assert reader.place_of(root[1]) == (5, 0)
    reader.current = root[1]
    assert reader.place_of(root[1][0][0]) == (5, 2)
    assert reader.place_of(root[0][0]) == ROOT


def test_finding_without_element_has_no_place() -> None:
    reader = ElementReader(XmlTree(None), Dialect.RFC7865, RFC7865_NAMESPACE, LIMITS)
    reader.note("metadata-datamode", "recording")
    assert [(each.line, each.column) for each in reader.findings()] == [(None, None)]
