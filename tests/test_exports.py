"""The public names of each package are exactly the listed ones, can be imported and are documented."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from types import ModuleType

import pytest

from tests.tree import PACKAGES, SRC, modules

# fmt: off
FRONTEND = frozenset({
    "serve", "Server", "Session", "EventStream", "connect", "listen", "Call", "CallRefusedError", "ChangeRefusedError",
    "connect_all", "RecordingGroup", "GroupMember", "GroupEvent",
    "AudioFrame", "AudioStream",
    "DirectorySinks", "DiskReserve", "Durability", "SinkSettings", "MemorySinks", "Sinks",
    "render_recording", "render_capture", "render_calls", "Bind", "TlsFiles", "DriverSettings", "DriverFailedError",
    "SlowReaderError",
})
"""Both frontends have the same names (those that wait, each its own object)."""
EXPORTS: dict[str, frozenset[str]] = {
    "siprec_core": frozenset({
        "RecordingServer", "ServerConfig", "ServerOutput", "SessionInfo", "ServerStatus",
        "MediaCounts", "PortCounts", "RecordingClient", "ClientConfig",
        "ClientOutput", "CallSpec", "ChangeConcluded", "ChangeOutcome", "StreamSpec", "Hop", "DigestRule", "DigestUser",
        "Secret", "Advertised", "AdmissionPolicy", "ListenSpec", "RecordSpec", "WaitingClient",
        "ParticipantInfo", "SessionStatus", "StreamInfo", "Decision", "PolicyRequest",
        "BindMedia", "CloseFlow", "CloseMedia", "CloseSink", "Command", "OpenFlow", "OpenSink",
        "RecordLine", "UpdateLine", "SecureLine", "PauseLine", "LineRecorder", "LineReport",
        "DeliverAudio", "EndAudio", "AudioFrame", "CodecProvider", "Codecs", "TapId",
        "RenderRecording", "Resolve", "SendDatagram", "SendMedia", "SendStream", "SinkKind", "WriteSink",
        "Diagnostic", "DigitReceived", "Event", "FindingRaised", "MetadataUpdated", "ServerDrained", "SessionEnded",
        "SessionEstablished", "SessionRefused", "SessionRequested", "SourceFound", "StreamStalled", "StreamsChanged",
        "AudioFinished", "CallEvent", "RecordingAttempted", "RecordingAnswered", "RecordingEnded", "RecordingRefused",
        "RecordingProceeding", "ServerFailed", "ServerMemory",
        "Address", "Component", "DatagramBatch", "Entropy", "Flow", "FlowId", "Limits", "Listening", "MediaId",
        "SessionId", "SinkId", "TimeBase", "Transport",
        "AddressRecord", "DnsAnswer", "LookupFailure", "NaptrRecord", "QueryId", "RecordType", "SrvRecord",
        "Finding", "FindingCode", "Severity", "ConfigurationError", "LocalProtocolError", "NegotiationError",
        "ProtocolError", "RemoteProtocolError", "SiprecError",
        "ArrivingPart", "BodyPart", "BodyReader", "Headers", "KeepAlive", "Malformed", "MessageFramer", "ParsedBody",
        "Request", "Response",
        "parse_body", "parse_datagram", "write_multipart",
        "MediaDescription", "MetadataDocument", "ParsedMetadata", "ParsedSdp", "RequestSnapshot", "RtpPacket",
        "MetadataBuilder", "SessionDescription", "parse_sdp", "read_metadata", "write_metadata",
        "write_request_snapshot",
    }),
    "siprec_sync": FRONTEND,
    "siprec_anyio": FRONTEND,
    "siprec": frozenset(()),
}
"""Public names by package. A name that is added here is a promise; one that is taken away breaks programs."""
# fmt: on

WAITING = frozenset(
    {
        "serve",
        "Server",
        "Session",
        "AudioStream",
        "EventStream",
        "connect",
        "listen",
        "Call",
        "connect_all",
        "RecordingGroup",
    }
)
"""Names of the frontends that each implements in its own way."""


def exported(package: str) -> list[str]:
    return list(getattr(importlib.import_module(package), "__all__", ()))


def public_names(module: ModuleType) -> set[str]:
    """Give the names without an underscore that are not modules of the package itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not (isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{name}")
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_exports_are_the_listed_ones(package: str) -> None:
    assert sorted(exported(package)) == sorted(EXPORTS[package])  # sorted lists show a name that is there twice


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_else_is_public(package: str) -> None:
    module = importlib.import_module(package)
    assert public_names(module) - {"__all__"} <= EXPORTS[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_exports_are_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    values = {name: getattr(module, name) for name in exported(package)}
    documented = {name: value for name, value in values.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert [name for name, value in documented.items() if not inspect.getdoc(value)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_classes_document_their_public_members(package: str) -> None:
    module = importlib.import_module(package)
    missing = [
        f"{name}.{attribute}"
        for name in exported(package)
        if inspect.isclass(cls := getattr(module, name))
        for attribute, value in vars(cls).items()
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property | classmethod))
        if not inspect.getdoc(value)
    ]
    assert missing == []


def test_frontends_differ_only_in_what_waits() -> None:
    blocking, asynchronous = importlib.import_module("siprec_sync"), importlib.import_module("siprec_anyio")
    different = {name for name in FRONTEND if getattr(blocking, name) is not getattr(asynchronous, name)}
    assert different == WAITING


@pytest.mark.parametrize("name", sorted(WAITING))
def test_frontends_have_the_same_methods(name: str) -> None:
    """The asynchronous objects have the methods of the blocking ones, but for how they are entered and left."""
    blocking, asynchronous = (getattr(importlib.import_module(p), name) for p in ("siprec_sync", "siprec_anyio"))
    if inspect.isfunction(blocking):
        assert list(inspect.signature(blocking).parameters) == list(inspect.signature(asynchronous).parameters)
    else:
        public = [{n for n in dir(cls) if not n.startswith("_")} - {"aclose"} for cls in (blocking, asynchronous)]
        assert public[0] == public[1]


def test_what_both_frontends_export_of_the_core_is_the_core_s() -> None:
    core = importlib.import_module("siprec_core")
    for package in ("siprec_anyio", "siprec_sync"):
        module = importlib.import_module(package)
        for name in set(exported(package)) & set(exported("siprec_core")):
            assert getattr(module, name) is getattr(core, name), f"{package}.{name}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_module_is_documented(name: str) -> None:
    assert ast.get_docstring(modules()[name].tree)


@pytest.mark.parametrize("name", sorted(modules()))
def test_names_in_all_exist(name: str) -> None:
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert [missing for missing in getattr(module, "__all__", ()) if not hasattr(module, missing)] == []


def test_packages_need_no_extra() -> None:
    """Loading any module works where neither trio nor uvloop nor a tool for tests is installed."""
    blocked = ["trio", "uvloop", "cryptography", "lxml", "numpy", "soundfile", "msgspec", "rich"]
    names = [name for name in sorted(modules()) if not name.endswith("__main__")]
    code = (
        "import json, sys\n"
        "source, blocked, names = json.loads(sys.argv[1])\n"
        "sys.path.insert(0, source)\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "for name in names: __import__(name)\n"
    )
    arguments = json.dumps([str(SRC), blocked, names])
    command = [sys.executable, "-W", "error", "-c", code, arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
