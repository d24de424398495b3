"""The settings of a server: one table, three sources, exact places of what is wrong."""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siprec.configuration import Configuration, add_options, listing, read_configuration
from siprec.kinds import toml
from siprec.outcome import CommandError
from siprec.plan import make_plan
from siprec.settings import BY_NAME, SETTINGS, ServeSettings, options
from siprec_core.errors import ConfigurationError
from siprec_core.limits import Limits
from siprec_core.recording.policy import ServerConfig
from siprec_core.sdp.crypto import SrtpPolicy
from tests.app.programs import Program


def read(words: list[str], environment: Mapping[str, str] | None = None) -> Configuration:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    return read_configuration(parser.parse_args(words), environment or {})


def read_file(tmp_path: Path, text: str, *words: str, environment: Mapping[str, str] | None = None) -> Configuration:
    path = tmp_path / "siprec.toml"
    path.write_text(text, encoding="utf-8")
    return read(["-c", str(path), *words], environment)


def test_option_before_environment_before_file_before_default(tmp_path: Path) -> None:
    text = '[logs]\nlevel = "error"\n[admission]\nmax_sessions = 3\n[media]\nhost = "192.0.2.1"\n'
    environment = {"SIPREC_LOGS__LEVEL": "warning", "SIPREC_ADMISSION__MAX_SESSIONS": "4", "SIPREC_PASSWORD": "x"}
    found = read_file(tmp_path, text, "--log-level", "debug", environment=environment)
    settings = found.settings
    assert (settings.log_level, settings.max_sessions, settings.media_host) == ("debug", 4, "192.0.2.1")
    assert settings.drain_seconds == 10.0
    assert found.origins == {
        "logs.level": "--log-level",
        "admission.max_sessions": "SIPREC_ADMISSION__MAX_SESSIONS",
        "media.host": f"{tmp_path}/siprec.toml:6:1",
    }


def test_defaults_are_those_of_the_core() -> None:
    plan = make_plan(read([]))
    product = plan.config.product
    default = ServerConfig(product=product)
    # Ciphers and further codecs come with extras, and are there when those are.
    assert replace(plan.config, crypto=None, codecs=default.codecs) == default
    assert plan.config.codecs[: len(default.codecs)] == default.codecs
    assert [str(bind) for bind in plan.binds] == ["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"]
    assert plan.tls is None


def test_encryption_is_a_setting() -> None:
    assert make_plan(read(["--srtp", "off"])).config.srtp is SrtpPolicy.OFF
    assert make_plan(read([], {"SIPREC_MEDIA__SRTP": "off"})).config.crypto is None


def test_each_limit_is_a_setting() -> None:
    assert {row.key for row in SETTINGS if row.section == "limits"} == {each.name for each in fields(Limits)}
    found = read([], {"SIPREC_LIMITS__BODY_SIZE": "1000", "SIPREC_LIMITS__NO_MEDIA_SECONDS": "2.5"})
    assert make_plan(found).config.limits == Limits(body_size=1000, no_media_seconds=2.5)


def test_the_table_has_no_name_twice() -> None:
    assert len(BY_NAME) == len(SETTINGS)
    assert len({row.variable for row in SETTINGS}) == len(SETTINGS)
    flags = [flag for row in SETTINGS for flag in row.flags]
    assert len(set(flags)) == len(flags)
    assert set(options()) < {each.name for each in fields(ServeSettings)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[logs]\nlevel = 'loud'\n", "2:1: logs.level: 'loud' is not debug, info, warning or error"),
        ("\n  [admission]\n  max_sessions = 0\n", "3:3: admission.max_sessions: 0 is not a whole number from 1 on"),
        ("[admission]\nmax_sessions = true\n", "2:1: admission.max_sessions: it has to be a whole number"),
        ("[admission]\nmax_session = 1\n", "2:1: there is no setting admission.max_session; did you mean"),
        ("[admision]\n", "1:2: there is no section 'admision'; did you mean admission?"),
        ("logs = 5\n", "1:1: logs is a section: write [logs] above its keys"),
        ("[logs]\nlevel = \n", "2:9: invalid value"),
        ("[logs]\nlevel = 'x", "2:11: "),
        ("[media]\nrtp_ports = '9-5'\n", "2:1: media.rtp_ports: '9-5' is not a range of ports"),
        ("[media]\ncodecs = []\n", "2:1: media.codecs: the list is empty"),
        ("[media]\ncodecs = 'PCMU/8000'\n", "2:1: media.codecs: it has to be a list"),
        ("[server]\ndrain_seconds = -1\n", "2:1: server.drain_seconds: -1 is not a number of seconds"),
        ("[server]\ndrain_seconds = inf\n", "2:1: server.drain_seconds: inf is not a number of seconds"),
        ("[server]\nbind = ['http://x:1']\n", "2:1: server.bind: bind 'http://x:1': the transport is udp, tcp or tls"),
        ("[[server.bind]]\nuri = 'udp://127.0.0.1:5060'\nnat = 'x'\n", "1:3: server.bind: udp://127.0.0.1:5060: 'nat'"),
        ("[[server.bind]]\nurl = 'x'\n", "1:3: server.bind: it has to be a URI"),
        ("[server]\nbind = [5]\n", "2:1: server.bind: it has to be a URI"),
        ("[timers]\nsession_timer = 1\n", "2:1: timers.session_timer: it has to be true or false"),
        ("[recordings]\ndirectory = ''\n", "2:1: recordings.directory: it has to name a file or a folder"),
    ],
)
def test_what_is_wrong_in_a_file_has_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        read_file(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/siprec.toml:{message}")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SIPREC_LOGS__LEVEL", "loud", "'loud' is not debug, info, warning or error"),
        ("SIPREC_LOGS__LEVELS", "info", "there is no such setting; did you mean SIPREC_LOGS__LEVEL?"),
        ("SIPREC_ADMISSION__MAX_SESSIONS", "many", "'many' is not a whole number from 1 on"),
        ("SIPREC_ADMISSION__MAX_SESSIONS", "\u0663", "'\u0663' is not a whole number from 1 on"),
        ("SIPREC_TIMERS__SESSION_TIMER", "yes", "'yes' is neither true nor false"),
        ("SIPREC_SERVER__DRAIN_SECONDS", "nan", "'nan' is not a number of seconds"),
        ("SIPREC_SERVER__ADVERTISE", "a b", "'a b' is not an address"),
        (
            "SIPREC_SERVER__BIND",
            "udp://127.0.0.1:0?digest=maybe",
            "udp://127.0.0.1:0: digest: 'maybe' is not on or off",
        ),
        ("SIPREC_SERVER__BIND", "udp://127.0.0.1:0?", "'udp://127.0.0.1:0?': behind the question mark stand"),
        ("SIPREC_SERVER__BIND", "udp://127.0.0.1:0?cert=x", "udp://127.0.0.1:0: cert, key, client_ca and client_auth"),
        ("SIPREC_SERVER__BIND", "tls://127.0.0.1:0?key=x", "tls://127.0.0.1:0: key, client_ca and client_auth need"),
        (
            "SIPREC_SERVER__BIND",
            "tls://127.0.0.1:0?cert=x&client_auth=optional",
            "tls://127.0.0.1:0: client_auth needs",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_names_the_variable(variable: str, value: str, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        read([], {variable: value})
    assert str(raised.value).startswith(f"{variable}: {message}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file"):
        read(["-c", str(tmp_path / "none.toml")])
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(CommandError, match="not UTF-8, octet 3"):
        read(["-c", str(tmp_path / "latin.toml")])


def test_listeners_have_settings_of_their_own(tmp_path: Path) -> None:
    text = """
[[server.bind]]
uri = "udp://10.0.0.5:5060"
advertise = "203.0.113.5"
[[server.bind]]
uri = "tls://[::1]:5061"
cert = "b.pem"
key = "b.key"
client_ca = "ca.pem"
client_auth = "optional"
"""
    first, second = read_file(tmp_path, text).settings.bind
    assert (first.advertise, first.tls, str(first)) == (
        "203.0.113.5",
        None,
        "udp://10.0.0.5:5060?advertise=203.0.113.5",
    )
    assert second.tls is not None
    assert (second.tls.certificate, second.tls.key) == (tmp_path / "b.pem", tmp_path / "b.key")
    assert (second.tls.authorities, second.tls.client_auth) == (tmp_path / "ca.pem", "optional")
    (again,) = read(["-b", str(first)]).settings.bind
    assert again == first


def test_names_of_files_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    text = '[recordings]\ndirectory = "calls"\n[server]\nready_file = "/run/ready.json"\n'
    settings = read_file(tmp_path, text).settings
    assert (settings.recordings, settings.ready_file) == (tmp_path / "calls", Path("/run/ready.json"))
    assert read(["--recordings", "calls"]).settings.recordings == Path("calls")


def test_options_have_priority_over_the_whole_list_of_listeners(tmp_path: Path) -> None:
    found = read_file(
        tmp_path, '[server]\nbind = ["udp://127.0.0.1:5070"]\n', "-b", "tcp://127.0.0.1:1", "-b", "udp://[::1]"
    )
    assert [str(each) for each in found.settings.bind] == ["tcp://127.0.0.1:1", "udp://[::1]:5060"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nbind = ['tls://127.0.0.1:0']\n", "--tls-cert"),
        ("[tls]\ncert = 'x'\n", "there is none"),
        ("[timers]\nmin_se = 2000\n", "min_se"),
    ],
)
def test_settings_have_to_fit_together(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((CommandError, ConfigurationError), match=message):
        make_plan(read_file(tmp_path, text))


def test_the_listing_is_a_file_that_gives_the_same(tmp_path: Path) -> None:
    text = (
        '[server]\nbind = ["udp://127.0.0.1:0", {uri = "tls://127.0.0.1:0", cert = "/a b.pem", digest = "off"}]\n'
        '[limits]\nhops = 7\n[media]\nrtp_ports = "2000-2999"\n'
    )
    found = read_file(tmp_path, text)
    shown = listing(found)
    assert f"hops = 7  # {tmp_path}/siprec.toml:4:1\n" in shown
    assert "# advertise is not set\n" in shown
    assert tomllib.loads(shown)["media"]["rtp_ports"] == "2000-2999"
    again = read_file(tmp_path, shown)
    assert again.values == {**found.values, "recordings.directory": Path.cwd() / "recordings"}


def test_check_config_prints_and_ends(siprec: Program, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[limits]\nhops = 7\n", encoding="utf-8")
    done = siprec("serve", "-c", tmp_path / "c.toml", "--check-config", "--max-sessions", "9")
    assert (done.code, done.err) == (0, "")
    assert "hops = 7  # " in done.out
    assert "max_sessions = 9  # --max-sessions\n" in done.out
    (tmp_path / "c.toml").write_text("[limits]\nhop = 7\n", encoding="utf-8")
    done = siprec("serve", "-c", tmp_path / "c.toml", "--check-config")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"siprec: {tmp_path}/c.toml:2:1: there is no setting limits.hop; did you mean limits.hops?\n"


def test_the_environment_of_the_process_counts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "siprec", "serve", "--check-config"],
        env={**os.environ, "SIPREC_MEDIA__RTP_PORTS": "x"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "siprec: SIPREC_MEDIA__RTP_PORTS: 'x' is not a range of ports such as 30000-39999\n"


PLAIN = st.recursive(
    st.text() | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_is_written_as_toml_reads_the_same(value: object) -> None:
    assert tomllib.loads(f"x = {toml(value)}\n")["x"] == value


@given(st.text())
def test_what_a_variable_says_can_be_said_in_a_file(text: str) -> None:
    for row in SETTINGS:
        try:
            value = row.kind.read(text)
        except (ValueError, argparse.ArgumentTypeError):
            continue
        assert row.kind.take(row.kind.plain(value)) == value
