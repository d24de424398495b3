"""Reading a metadata body never raises; what was read is written well, reads back the same, is applied and filtered.

The first octet chooses the charset parameter.
"""

import sys
import xml.etree.ElementTree as ET

from siprec_core.limits import Limits
from siprec_core.metadata.draft_writer import write_draft
from siprec_core.metadata.model import Dialect, MetadataDocument
from siprec_core.metadata.privacy import FilterAction, MetadataFilter
from siprec_core.metadata.reader import read_metadata
from siprec_core.metadata.state import MetadataState
from siprec_core.metadata.vendors import vendor_data
from siprec_core.metadata.writer import write_metadata

LIMITS = Limits(xml_depth=8, xml_elements=500, xml_attributes=8, xml_text_size=2_000, metadata_objects=50, findings=50)
FILTER = MetadataFilter(
    rules={"nameid@aor": FilterAction.HASH, "reason": FilterAction.DROP, "ids": FilterAction.HASH},
    key=b"the key of the fuzzer",
)
CHARSETS = (None, "utf-8", "UTF-16", "iso-8859-1", "windows-1252", "")


def check(data: bytes) -> None:
    check_body(data, None)
    if data:
        check_body(data[1:], CHARSETS[data[0] % len(CHARSETS)])


def check_body(data: bytes, charset: str | None) -> None:
    parsed = read_metadata(data, limits=LIMITS, charset=charset)
    if (parsed.document is None) == (parsed.error is None):
        raise AssertionError("a document or an error, not both")
    if len(parsed.findings) > LIMITS.findings:
        raise AssertionError("more findings than allowed")
    if not isinstance(parsed.document, MetadataDocument):
        return
    if parsed != read_metadata(memoryview(data), limits=LIMITS, charset=charset):
        raise AssertionError("a second reading differs")
    written = write_metadata(parsed.document)
    ET.fromstring(written)
    # What the RFC form cannot say is settled by writing once; from there on nothing changes.
    wide = Limits(xml_elements=20_000)
    settled = read_metadata(written, limits=wide).document
    if not isinstance(settled, MetadataDocument):
        raise AssertionError("what was written cannot be read")
    if read_metadata(write_metadata(settled), limits=wide).document != settled:
        raise AssertionError("what was written reads back otherwise")
    for dialect in (Dialect.DRAFT_RECORDING, Dialect.DRAFT_SIPREC):
        ET.fromstring(write_draft(parsed.document, dialect))
    vendor_data(parsed.document)
    filtered = FILTER.apply(data, limits=LIMITS, charset=charset)
    if filtered and FILTER.apply(filtered, limits=wide, charset=charset) == b"":
        raise AssertionError("what the filter left cannot be read")
    state = MetadataState(limits=LIMITS)
    state.apply(parsed.document, 1_700_000_000_000_000_000)
    state.apply(settled, 1_700_000_060_000_000_000)
    write_metadata(state.snapshot(ended=True))
    for span in state.spans:
        if span.until_ns is not None and span.until_ns < span.since_ns:
            raise AssertionError("a span ends before it begins")
    for record in state.participants:
        if record.joined_ns is not None and record.left_ns is not None and record.stays:
            if any(stay.left_ns is None for stay in record.stays):
                raise AssertionError("somebody left who is still there")


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
