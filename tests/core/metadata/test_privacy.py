"""What the filter of stored metadata keeps, drops and hashes (RFC 7865 section 10)."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.privacy import FilterAction, MetadataFilter
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.writer import UNKNOWN_AOR
from tests.core.metadata.documents import LIMITS, document, load, read, uid

KEY = b"sixteen octets, at least"
EVERY = ["complete", "hold", "bye", "seed", "draft-recording", "draft-siprec", "lenient"]


def filtered(data: bytes | str, default: str = "keep", **rules: str) -> bytes:
    plain = {"default": default, "elements": {name.replace("__", "@"): action for name, action in rules.items()}}
    policy = MetadataFilter.from_plain(plain, key=KEY)
    return policy.apply(data.encode() if isinstance(data, str) else data, limits=LIMITS)


def digest(text: str) -> str:
    return hmac.digest(KEY, text.encode(), "sha256")[:16].hex()


@pytest.mark.parametrize("name", EVERY)
def test_filter_without_rules_keeps_everything(name: str) -> None:
    assert read(filtered(load(name))) == read(load(name))


@pytest.mark.requirement("7865-10-c")
@pytest.mark.parametrize("name", EVERY)
def test_structure_is_all_that_is_left_when_nothing_is_asked_for(name: str) -> None:
    before, after = read(load(name)), read(filtered(load(name), "drop"))
    assert [each.participant_id for each in after.participants] == [each.participant_id for each in before.participants]
    assert [(each.stream_id, each.label) for each in after.streams] == [
        (each.stream_id, each.label) for each in before.streams
    ]
    assert [(each.participant_id, each.send, each.recv) for each in after.participant_stream_associations] == [
        (each.participant_id, each.send, each.recv) for each in before.participant_stream_associations
    ]
    assert after.datamode == before.datamode
    assert {aor for each in after.participants for aor in each.aors} <= {UNKNOWN_AOR}
    assert {name for each in after.participants for name in each.names} == set()
    assert all(not each.sip_session_ids and not each.reasons and each.start_time is None for each in after.sessions)
    assert after.extension_count == 0


@pytest.mark.parametrize("name", EVERY)
def test_names_and_addresses_are_hashed_in_every_dialect(name: str) -> None:
    before = read(load(name))
    data = filtered(load(name), name="hash", nameID__aor="hash")
    after = read(data)
    for old, new in zip(before.participants, after.participants, strict=True):
        assert new.aors == tuple(f"sip:{digest(aor)}@hashed.invalid" for aor in old.aors)
        assert new.names == tuple(digest(each) for each in old.names)
    for word in (b"Anna", b"anna@", b"Ben<", b"ben@"):
        assert word not in data or b"desk" in data
    assert after.sessions == before.sessions


def test_same_text_has_the_same_hash_under_one_key_only() -> None:
    policy = {"elements": {"name": "hash"}}
    one, other = (MetadataFilter.from_plain(policy, key=key) for key in (KEY, KEY[::-1]))
    texts = [each.apply(load("complete"), limits=LIMITS) for each in (one, one, other)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("name", EVERY)
def test_hashed_ids_still_hold_the_document_together(name: str) -> None:
    before, data = read(load(name)), filtered(load(name), ids="hash")
    after = read(data)
    kinds = ("participants", "streams", "sessions", "participant_session_associations")
    for kind in kinds:
        assert len(getattr(after, kind)) == len(getattr(before, kind))
    for each in before.participants:
        assert f'participant_id="{each.participant_id}"'.encode() not in data
    known = {each.stream_id for each in after.streams}
    was = {each.stream_id for each in before.streams}
    for old, new in zip(before.participant_stream_associations, after.participant_stream_associations, strict=True):
        assert [each in was for each in old.send] == [each in known for each in new.send]
    found = {each.code for each in read_metadata(data, limits=LIMITS).findings}
    assert found & {"metadata-id-no-uuid", "metadata-id-host", "metadata-duplicate-id"} == set()


def test_exact_rule_counts_before_the_general_one() -> None:
    text = load("complete")
    assert read(filtered(text, **{"session/reason": "drop"})).sessions[0].reasons == ()
    kept = read(filtered(text, "drop", **{"session/reason": "keep", "reason": "drop"}))
    assert kept.sessions[0].reasons == read(text).sessions[0].reasons


def test_times_are_kept_when_asked_for() -> None:
    after = read(filtered(load("draft-recording"), "drop", **{"start-time": "keep", "associate-time": "drop"}))
    assert all(each.associate_time is None for each in after.participant_session_associations) or after.sessions


def test_end_time_of_older_generations_follows_the_rule_of_stop_time() -> None:
    text = document(f"<session session_id='{uid('s')}'><end-time>2024-05-01T10:00:00Z</end-time></session>")
    assert read(filtered(text, **{"stop-time": "drop"})).sessions[0].stop_time is None


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, ["note", "desk"]),
        ({"extensions": "drop"}, []),
        ({"{urn:example:a}": "drop"}, ["desk"]),
        ({"extensions": "drop", "{urn:example:B}": "keep"}, ["desk"]),
        ({"extensions": "drop", "note": "keep"}, ["note"]),
    ],
)
def test_extensions(rules: dict[str, str], kept: list[str]) -> None:
    text = document("<note xmlns='urn:example:a' who='x'>private</note><b:desk xmlns:b='urn:example:B'>7</b:desk>")
    assert [each.name for each in read(filtered(text, **rules)).extensions] == kept


def test_rules_reach_into_extensions() -> None:
    text = document("<x xmlns='urn:x' k='1'><name>Anna</name><y z='2'>in <b>bold</b> text</y></x>")
    (kept,) = read(filtered(text, name="drop", x__k="drop", y__z="hash")).extensions
    assert kept.attributes == ()
    (inner,) = kept.children
    assert (inner.text, inner.attributes[0].value) == ("in ", digest("2"))
    assert inner.children[0].tail == " text"
    (hashed,) = read(filtered(text, x="hash")).extensions
    assert [child.text for child in hashed.children] == [digest("Anna"), digest("in")]
    assert hashed.attributes[0].value == digest("1")


def test_dropped_addresses_leave_a_valid_participant() -> None:
    data = filtered(load("complete"), nameID="drop")
    assert [each.aors for each in read(data).participants] == [(UNKNOWN_AOR,)] * 2
    data = filtered(load("complete"), nameID__aor="drop")
    assert {aor for each in read(data).participants for aor in each.aors} == {UNKNOWN_AOR}
    assert "metadata-missing-attribute" not in {each.code for each in read_metadata(data, limits=LIMITS).findings}


def test_text_between_elements_goes() -> None:
    text = document("secret<session session_id='s'>secret<start-time/>secret</session>secret")
    assert b"secret" not in filtered(text)


@pytest.mark.parametrize("data", [b"", b"<recording", b"no xml", b"<!DOCTYPE r><r/>", b"\xff" * 40])
def test_what_cannot_be_read_is_kept_back(data: bytes) -> None:
    assert filtered(data) == b""


@pytest.mark.parametrize("charset", ["iso-8859-1", "us-ascii", "utf-8", "utf-16"])
def test_any_charset_parameter_is_true_of_the_octets(charset: str) -> None:
    data = load("complete").decode().replace("UTF-8", charset).encode(charset, "xmlcharrefreplace")
    out = MetadataFilter(rules={}).apply(data, limits=LIMITS, charset=charset)
    parsed = read_metadata(out, limits=LIMITS, charset=charset)
    assert isinstance(parsed.document, MetadataDocument)
    assert parsed.document.participants == read(load("complete")).participants


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "utf-16", "windows-1252", "", None])
@pytest.mark.parametrize("extension", ["<é xmlns='urn:x'>à</é>", "<x xmlns='urn:x' é='1'><y>ö</y></x>"])
def test_names_of_other_letters_stay_in_any_charset(charset: str | None, extension: str) -> None:
    text = document(extension)
    data = text.encode(charset if charset in ("iso-8859-1", "utf-16") else "utf-8")
    policy = MetadataFilter(rules={})
    out = policy.apply(data, limits=LIMITS, charset=charset)
    kept, whole = read_metadata(out, limits=LIMITS, charset=charset), read_metadata(text.encode(), limits=LIMITS)
    assert isinstance(kept.document, MetadataDocument)
    assert isinstance(whole.document, MetadataDocument)
    assert kept.document.sessions == whole.document.sessions
    assert kept.document.extensions == whole.document.extensions
    assert policy.apply(out, limits=LIMITS, charset=charset) == out


def test_deep_subtrees_are_cut_at_the_bound() -> None:
    text = document("<x xmlns='urn:x'>" + "<y>" * 3_000 + "secret" + "</y>" * 3_000 + "</x>")
    assert b"secret" not in filtered(text)
    assert b"secret" not in filtered(text, x="hash")


WORDS = ("who", "called", "whom")
_SECRET = st.sampled_from([f"secret{word}" for word in WORDS])
_TAGS = st.sampled_from(["name", "reason", "sipSessionID", "nameID", "aor", "x", "session", "participant", "group"])


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> str:
    """Elements of any names with a secret in every text and in every attribute that is no id."""
    name = draw(_TAGS)
    space = draw(st.sampled_from(["", " xmlns='urn:x'", " xmlns='urn:ietf:params:xml:ns:siprec'"]))
    inner = "".join(draw(st.lists(trees(depth + 1), max_size=2))) if depth < 3 else ""
    return f"<{name}{space} mine='{draw(_SECRET)}' aor='{draw(_SECRET)}'>{draw(_SECRET)}{inner}</{name}>{draw(_SECRET)}"


@pytest.mark.requirement("7865-10-c")
@settings(max_examples=80)
@given(st.lists(trees(), max_size=4))
def test_nothing_that_is_not_asked_for_gets_through(bodies: list[str]) -> None:
    assert b"secret" not in filtered(document("".join(bodies)), "drop")


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_filter_never_raises(data: bytes) -> None:
    assert isinstance(filtered(data, "drop", name="hash"), bytes)


@pytest.mark.parametrize(
    ("plain", "key"),
    [
        ({"defaults": "keep"}, KEY),
        ({"default": "hash"}, KEY),
        ({"default": "no"}, KEY),
        ({"other-parts": "hash"}, KEY),
        ({"elements": ["name"]}, KEY),
        ({"elements": {"name": "remove"}}, KEY),
        ({"elements": {"name": 1}}, KEY),
        ({"elements": {"name": "hash"}}, b""),
        ({"elements": {"name": "hash"}}, b"short"),
        ({"elements": {"ids": "drop"}}, KEY),
        ({"elements": {" ": "drop"}}, KEY),
    ],
)
def test_wrong_settings_are_told(plain: dict[str, object], key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="metadata filter: "):
        MetadataFilter.from_plain(plain, key=key)


def test_names_of_rules_are_lower_case() -> None:
    with pytest.raises(ConfigurationError):
        MetadataFilter(rules={"nameID": FilterAction.DROP})
    assert MetadataFilter.from_plain({"elements": {"nameID": "drop"}}).rules == {"nameid": FilterAction.DROP}


def test_bounds_of_the_reader_hold() -> None:
    text = document("<x/>" * 5_000)
    assert MetadataFilter(rules={}).apply(text.encode(), limits=Limits(xml_elements=100)) == b""
