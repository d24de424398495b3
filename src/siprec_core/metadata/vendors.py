"""What clients put into extension data: typed views of the elements that known vendors add to RFC 7865.

The document keeps those elements as they are (`extensions` of its objects); nothing here is needed to record. The
vendor is told by namespace or, where a vendor has none of its own, by the name of its element.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from siprec_core.metadata.model import Element, MetadataDocument


class Vendor(StrEnum):
    """Makers of recording clients whose extension data is known."""

    ORACLE = "oracle"
    AUDIOCODES = "audiocodes"
    RIBBON = "ribbon"
    BROADWORKS = "broadworks"
    """BroadWorks and Webex."""
    METASWITCH = "metaswitch"
    JAMBONZ = "jambonz"
    NETSAPIENS = "netsapiens"
    TWILIO = "twilio"
    GOOGLE = "google"


_NAMESPACES: Final = {
    "http://acmepacket.com/siprec/extensiondata": Vendor.ORACLE,
    # One slash: in one document with the right one.
    "http:/acmepacket.com/siprec/extensiondata": Vendor.ORACLE,
    "http://audiocodes": Vendor.AUDIOCODES,
    "urn:ietf:params:xml:ns:avaya": Vendor.AUDIOCODES,
    "urn:ietf:params:xml:ns:genesys": Vendor.AUDIOCODES,
    "urn:ietf:params:xml:ns:calldata": Vendor.RIBBON,
    "http://schema.broadsoft.com/broadworkscallrecording": Vendor.BROADWORKS,
    "http://jambonz.org/siprec": Vendor.JAMBONZ,
    "http://schema.netsapiens.com/netsapienssiprec": Vendor.NETSAPIENS,
    "http://google.com/siprec": Vendor.GOOGLE,
}
"""By namespace in lower case."""
_NAMES: Final = {
    "broadworksrecordingmetadata": Vendor.BROADWORKS,
    "metaswitchrecordingmetadata": Vendor.METASWITCH,
    "netsapiensextension": Vendor.NETSAPIENS,
    "extensionparameters": Vendor.TWILIO,
}
"""By element name in lower case."""


@dataclass(frozen=True, slots=True)
class VendorData:
    """The extension data of one vendor in one object of a document."""

    vendor: Vendor
    owner: str
    """Element name of the object: `recording`, `group`, `session`, `participant`, `stream` or an association."""
    owner_id: str
    """Its id; empty for the recording."""
    values: tuple[tuple[str, str], ...]
    """Path of local names and text, in document order; `call@id` for an attribute.

    An element with nothing in it has an empty text."""

    def get(self, path: str) -> str | None:
        """Give the first value of a path or of its last part, letter case aside; None without one."""
        return next(iter(self.get_all(path)), None)

    def get_all(self, path: str) -> tuple[str, ...]:
        """Give all values of a path or of its last part, letter case aside."""
        wanted = path.lower()
        return tuple(
            value for name, value in self.values if name.lower() == wanted or name.lower().endswith("/" + wanted)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleCall:
    """Extension data of an Oracle (Acme Packet) session border controller."""

    ucid: str | None
    """Universal call id of Avaya, as in User-to-User."""
    caller: str | None
    calling_party: str | None
    request_uri: str | None
    realm: str | None
    headers: tuple[tuple[str, str], ...]
    """SIP header fields of the call, as name and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioCodesCall:
    """Extension data of an AudioCodes session border controller."""

    avaya_ucid: str | None
    genesys_uuid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RibbonCall:
    """`callData` of a Ribbon (Sonus) session border controller."""

    from_header: str | None
    to_header: str | None
    call_id: str | None
    global_call_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadWorksCall:
    """`broadWorksRecordingMetadata` of BroadWorks and Webex."""

    version: str | None
    originating: bool
    """The recorded user made the call."""
    terminating: bool
    """The recorded user got the call."""
    redirected: bool
    recording_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JambonzCall:
    """Extension data of jambonz, which writes either number into the other's element; here they stand right."""

    called_number: str | None
    calling_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioCall:
    """`ExtensionParameters` of Twilio."""

    parameters: tuple[tuple[str, str], ...]
    """Name and value, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleCall:
    """`google:call` of Google's client."""

    call_id: str | None
    project: str | None


def vendor_data(document: MetadataDocument) -> tuple[VendorData, ...]:
    """Give the extension data of known vendors, one entry for each vendor in each object."""
    found: dict[tuple[Vendor, str, str], list[tuple[str, str]]] = {}
    for owner, owner_id, extensions in _owners(document):
        for element in extensions:
            for vendor, inner in _vendor_elements(element):
                found.setdefault((vendor, owner, owner_id), []).extend(_values(inner, ""))
    return tuple(VendorData(*key, tuple(values)) for key, values in found.items())


def vendor_of(document: MetadataDocument) -> Vendor | None:
    """Guess who wrote a document by its extension data; None without a clue."""
    return next((each.vendor for each in vendor_data(document)), None)


def oracle_call(data: VendorData) -> OracleCall:
    """Read Oracle's extension data."""
    values = [value for name, value in data.values if name.lower().endswith("header/value")]
    names = [value for name, value in data.values if name.lower().endswith("header@label")]
    return OracleCall(
        ucid=data.get("ucid"),
        caller=data.get("callerOrig"),
        calling_party=data.get("callingParty"),
        request_uri=data.get("request-uri"),
        realm=data.get("realm"),
        headers=tuple(zip(names, values, strict=False)),
    )


def audiocodes_call(data: VendorData) -> AudioCodesCall:
    """Read AudioCodes' extension data."""
    return AudioCodesCall(avaya_ucid=data.get("AvayaUCID"), genesys_uuid=data.get("GenesysUUID"))


def ribbon_call(data: VendorData) -> RibbonCall:
    """Read Ribbon's `callData`; its header fields are texts, escaped once."""
    return RibbonCall(
        from_header=data.get("fromhdr"),
        to_header=data.get("tohdr"),
        call_id=data.get("callid"),
        global_call_id=data.get("gcid"),
    )


def broadworks_call(data: VendorData) -> BroadWorksCall:
    """Read BroadWorks' metadata; what it says by an element without text counts by being there."""
    parts = {part.lower() for name, _ in data.values for part in name.replace("@", "/").split("/")}
    return BroadWorksCall(
        version=data.get("broadWorksRecordingMetadata@version"),
        originating="origcall" in parts,
        terminating="termcall" in parts,
        redirected="redirectedcall" in parts or "redirectinfo" in parts,
        recording_type=data.get("recordingType"),
    )


def jambonz_call(data: VendorData) -> JambonzCall:
    """Read jambonz' numbers, each from the element named after the other."""
    return JambonzCall(called_number=data.get("callingnumber"), calling_number=data.get("callednumber"))


def twilio_call(data: VendorData) -> TwilioCall:
    """Read Twilio's parameters."""
    names, values = data.get_all("Parameter@name"), data.get_all("Parameter@value")
    return TwilioCall(parameters=tuple(zip(names, values, strict=False)))


def google_call(data: VendorData) -> GoogleCall:
    """Read the call and project of Google's client."""
    return GoogleCall(call_id=data.get("call@id"), project=data.get("call@project"))


def _owners(document: MetadataDocument) -> Iterator[tuple[str, str, tuple[Element, ...]]]:
    yield "recording", "", document.extensions
    for group in document.groups:
        yield "group", group.group_id, group.extensions
    for session in document.sessions:
        yield "session", session.session_id, session.extensions
    for participant in document.participants:
        yield "participant", participant.participant_id, participant.extensions
    for stream in document.streams:
        yield "stream", stream.stream_id, stream.extensions
    for recorded in document.session_recording_associations:
        yield "sessionrecordingassoc", recorded.session_id, recorded.extensions
    for membership in document.participant_session_associations:
        yield "participantsessionassoc", membership.participant_id, membership.extensions
    for flow in document.participant_stream_associations:
        yield "participantstreamassoc", flow.participant_id, flow.extensions


def _vendor_elements(element: Element) -> Iterator[tuple[Vendor, Element]]:
    """Find the outermost elements of known vendors, through wrappers such as `extensiondata`."""
    vendor = _NAMESPACES.get((element.namespace or "").lower())
    # An `extensiondata` of the vendor's namespace is only a wrapper around its elements.
    if vendor is None or element.name.lower() == "extensiondata":
        named = _NAMES.get(element.name.lower())
        if named is None:
            for child in element.children:
                if vendor is not None:
                    yield vendor, child
                else:
                    yield from _vendor_elements(child)
            return
        vendor = named
    yield vendor, element


def _values(element: Element, path: str) -> Iterator[tuple[str, str]]:
    path = f"{path}/{element.name}" if path else element.name
    for attribute in element.attributes:
        yield f"{path}@{attribute.name}", attribute.value.strip()
    text = element.text.strip()
    if text or not (element.children or element.attributes):
        yield path, text
    for child in element.children:
        yield from _values(child, path)
