"""The registry of finding codes: severity, rule, meaning and advice of each, by area.

The documentation page and `siprec validate` print these texts. A code, once released, keeps its name.
"""

from siprec_core.finding_codes.capture import CAPTURE_CODES
from siprec_core.finding_codes.entry import FindingCode, Severity
from siprec_core.finding_codes.media import MEDIA_CODES
from siprec_core.finding_codes.metadata import METADATA_CODES
from siprec_core.finding_codes.mime import MIME_CODES
from siprec_core.finding_codes.sdp import SDP_CODES
from siprec_core.finding_codes.session import SESSION_CODES
from siprec_core.finding_codes.sip import SIP_CODES

__all__ = ["REGISTRY", "FindingCode", "Severity"]

REGISTRY: dict[str, FindingCode] = {
    entry.code: entry
    for group in (SIP_CODES, MIME_CODES, SDP_CODES, METADATA_CODES, MEDIA_CODES, CAPTURE_CODES, SESSION_CODES)
    for entry in group
}
"""All codes by name."""
