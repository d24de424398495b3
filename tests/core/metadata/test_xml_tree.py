import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec_core.limits import Limits
from siprec_core.metadata.origins import ROOT
from siprec_core.metadata.xml_tree import PIECE_SIZE, WHOLE_SIZE, XmlTree, parse_xml
from tests.core.metadata.documents import LIMITS, load

LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY l0 'lol'>"
    + "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
    + "]><lolz>&l9;</lolz>"
)
ATTACKS = {
    "billion laughs": LAUGHS,
    "quadratic blow-up": f"<!DOCTYPE r [<!ENTITY a '{'a' * 50_000}'>]><r>{'&a;' * 5_000}</r>",
    "external entity": '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><r>&f;</r>',
    "external parameter entity": '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/x.dtd">%p;]><r/>',
    "external subset": '<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><r/>',
    "default attributes": "<!DOCTYPE r [<!ATTLIST r a CDATA 'x'>]><r/>",
    "behind a comment": "<!-- a --><?pi?><!DOCTYPE r><r/>",
}


def parse(data: bytes | str, limits: Limits = LIMITS) -> XmlTree:
    return parse_xml(data.encode() if isinstance(data, str) else data, limits=limits)


def code(tree: XmlTree) -> str:
    assert tree.root is None
    assert tree.error is not None
    return tree.findings[-1].code


@pytest.mark.requirement("7865-9-e")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_document_type_declaration_is_refused(attack: str) -> None:
    assert code(parse(attack)) == "metadata-doctype"
    assert code(parse('<?xml version="1.0"?>\n' + attack)) == "metadata-doctype"
    assert code(parse(attack.encode("utf-16"))) == "metadata-doctype"


def test_refusal_tells_the_place() -> None:
    error = parse('<?xml version="1.0"?>\n  <!DOCTYPE r><r/>').error
    assert error is not None
    assert (error.line, error.column, error.status_hint) == (2, 3, 400)


def test_declaration_behind_a_mistake_is_not_reached_by_a_repair() -> None:
    assert code(parse(b"<!-- \xe9 --><!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>")) == "metadata-malformed"


@pytest.mark.parametrize("text", ["<r><!-- <!DOCTYPE r> --></r>", "<r><![CDATA[<!DOCTYPE r>]]></r>"])
def test_what_only_looks_like_a_declaration_is_read(text: str) -> None:
    assert parse(text).root is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "recording",
        "<r",
        "<r>",
        "<r></s>",
        "<r/><r/>",
        "<r a='1' a='2'/>",
        "<r xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'/>",
        "<p:r/>",
        "<r>&unknown;<</r>",
        "<r>&#0;</r>",
        "<r>\x01</r>",
        "<r/>trailing",
    ],
)
def test_document_that_is_not_well_formed_gives_error_and_place(text: str) -> None:
    tree = parse(text)
    assert code(tree) == "metadata-malformed"
    assert tree.error is not None
    assert tree.error.line is not None


def test_bound_on_elements() -> None:
    limits = Limits(xml_elements=100)
    assert parse("<r>" + "<e/>" * 90 + "</r>", limits).root is not None
    assert code(parse("<r>" + "<e>1</e>" * 5_000 + "</r>", limits)) == "metadata-too-large"
    assert code(parse("<r>" * 5_000 + "</r>" * 5_000, limits)) == "metadata-too-large"


def test_bound_on_attributes_holds_before_the_tree_is_built() -> None:
    many = " ".join(f"a{n}='{n}'" for n in range(10_000))
    assert code(parse(f"<r><e {many}/></r>")) == "metadata-too-large"
    few = " ".join(f"a{n}='\"'" for n in range(LIMITS.xml_attributes))
    assert parse(f"<r>{f'<e {few}/>' * 200}</r>").root is not None
    assert parse("<r>" + 'it\'s "so" ' * 5_000 + "</r>").root is not None


def test_deep_nesting_within_the_bound_on_elements_is_no_burden() -> None:
    tree = parse("<r>" * 40_000 + "</r>" * 40_000)
    assert tree.root is not None


def test_unescaped_ampersand_is_repaired() -> None:
    tree = parse("<r>\n<n>Fish & Chips &amp; Co &#38; &nbsp;</n></r>")
    assert tree.root is not None
    assert tree.root[0].text == "Fish & Chips & Co & &nbsp;"
    (repaired,) = tree.findings
    assert (repaired.code, repaired.line) == ("metadata-repaired", 2)


def test_latin_1_without_declaration_is_repaired() -> None:
    tree = parse(b"<r>R\xf6hm</r>")
    assert tree.root is not None
    assert tree.root.text == "Röhm"
    assert [each.code for each in tree.findings] == ["metadata-repaired"]


def test_character_data_section_is_never_repaired() -> None:
    assert code(parse("<r>& <![CDATA[ & ]]></r>")) == "metadata-malformed"


def test_places_of_elements() -> None:
    tree = parse(" \n  <?xml version='1.0'?><r>\n  <é/><b/></r>")
    assert tree.root is not None
    assert tree.places([ROOT, (1, 0)]) == {ROOT: (2, 24), (1, 0): (3, 7)}
    assert tree.places([]) == {}


def large(inner: str, size: int = WHOLE_SIZE + PIECE_SIZE) -> str:
    """Give a document in which `inner` stands behind and before many elements."""
    filling = "\n<e a='1'><f>text</f></e>" * (size // 50)
    return f"<?xml version='1.0' encoding='utf-16'?>\n<r b='2'>{filling}{inner}{filling}\n</r>"


def test_large_document_comes_little_by_little() -> None:
    text = large("<last/>")
    tree, whole = parse(text), parse_xml(text.encode(), limits=LIMITS, whole=True)
    assert tree.root is not None
    assert whole.root is not None
    most = 0
    names = []
    for children in tree.children():
        most = max(most, len(children))
        names += [(child.tag, child.attrib, [inner.text for inner in child], child.tail) for child in children]
    assert names == [(c.tag, c.attrib, [inner.text for inner in c], c.tail) for c in whole.root]
    assert most < len(names) * 3 // 4
    assert tree.root.attrib == {"b": "2"}


def test_places_within_a_large_document() -> None:
    count = (WHOLE_SIZE + PIECE_SIZE) // 50
    tree = parse(large("\n <x><y/> <z/></x>"))
    assert tree.places([ROOT, (0, 1), (count, 0), (count, 2), (10**9, 0)]) == {
        ROOT: (2, 1),
        (0, 1): (3, 10),
        (count, 0): (count + 3, 2),
        (count, 2): (count + 3, 10),
    }


@pytest.mark.parametrize("fault", ["<x>", "</x>", "&", "<p:x/>", "<x a='' a=''/>", "\x01"])
def test_mistake_in_a_large_document_is_found_before_anything_is_read(fault: str) -> None:
    tree = parse(large(fault))
    if fault == "&":
        assert tree.root is not None
        assert [each.code for each in tree.findings][-1] == "metadata-repaired"
        assert sum(len(children) for children in tree.children()) > 1_000
    else:
        assert code(tree) == "metadata-malformed"
        assert tree.error is not None
        assert (tree.error.line or 0) > 100


def test_large_comment_before_the_root() -> None:
    tree = parse(f"<!--{'x' * 3 * PIECE_SIZE}--><r><e/></r>")
    assert tree.root is not None
    assert [len(children) for children in tree.children()] == [1]


def test_comments_within_text_leave_it_whole() -> None:
    tree = parse("<r>ab<!-- x -->cd<?y?>ef</r>")
    assert tree.root is not None
    assert tree.root.text == "abcdef"


@given(st.binary(max_size=200))
def test_any_octets_give_a_tree_or_an_error(data: bytes) -> None:
    tree = parse_xml(memoryview(data), limits=LIMITS)
    assert (tree.root is None) == (tree.error is not None)


def test_every_beginning_of_a_document_is_refused() -> None:
    data = load("complete").rstrip()
    for end in range(len(data)):
        tree = parse(data[:end])
        assert tree.root is None
        assert tree.error is not None
