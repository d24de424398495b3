import pytest

from siprec_core.metadata import vocabulary as forms
from siprec_core.metadata.model import Dialect
from siprec_core.metadata.vocabulary import dialect_of, split_tag, vocabulary_for

RFC7865 = "urn:ietf:params:xml:ns:recording:1"
DRAFT = "urn:ietf:params:xml:ns:recording"
SIPREC = "urn:ietf:params:xml:ns:siprec"


@pytest.mark.parametrize(
    ("namespace", "name", "dialect"),
    [
        (RFC7865, "recording", Dialect.RFC7865),
        (RFC7865, "requestsnapshot", Dialect.RFC7865),
        (DRAFT, "recording", Dialect.DRAFT_RECORDING),
        (SIPREC, "recording", Dialect.SEED),
        (SIPREC, "recording_metadata", Dialect.DRAFT_SIPREC),
        (None, "recording", Dialect.LENIENT),
        ("urn:example", "recording", Dialect.LENIENT),
        (RFC7865, "Recording", Dialect.LENIENT),
        (DRAFT, "recording_metadata", Dialect.LENIENT),
        (None, "requestsnapshot", Dialect.LENIENT),
        (RFC7865, "presence", None),
        (None, "html", None),
    ],
)
def test_dialect_is_told_by_the_root(namespace: str | None, name: str, dialect: Dialect | None) -> None:
    assert dialect_of(namespace, name) is dialect


@pytest.mark.requirement("7865-9-d")
def test_rfc_document_has_one_namespace() -> None:
    vocabulary = vocabulary_for(Dialect.RFC7865, RFC7865)
    assert vocabulary.names[f"{{{RFC7865}}}session"] == "session"
    assert f"{{{DRAFT}}}session" not in vocabulary.names
    assert "session" not in vocabulary.names


@pytest.mark.parametrize("dialect", [Dialect.DRAFT_RECORDING, Dialect.SEED, Dialect.LENIENT])
def test_other_documents_may_mix_the_recording_namespaces(dialect: Dialect) -> None:
    vocabulary = vocabulary_for(dialect, None)
    assert {vocabulary.names[tag] for tag in (f"{{{DRAFT}}}label", f"{{{SIPREC}}}label", "label")} == {"label"}


def test_letter_case_is_folded_for_own_elements_only() -> None:
    vocabulary = vocabulary_for(Dialect.LENIENT, "urn:example")
    assert vocabulary.folded("urn:example", "SIPSESSIONID") == "sipSessionID"
    assert vocabulary.folded("urn:other", "session") is None
    assert vocabulary.folded("urn:example", "unknown") is None


def test_tag_is_split_at_its_namespace() -> None:
    assert split_tag("{urn:a}b") == ("urn:a", "b")
    assert split_tag("b") == (None, "b")


def test_single_children_are_children() -> None:
    every = [form for form in vars(forms).values() if isinstance(form, forms.ObjectForm)]
    assert len(every) == 10
    for form in every:
        assert form.single <= form.children.keys()
        assert set(form.aliases.values()) <= form.children.keys()
        assert form.strays.isdisjoint(form.children)
        assert set(form.attributes.values()) <= form.attributes.keys()
