"""`session.audio()` on each frontend."""

import threading
from pathlib import Path

import pytest

import anyio
import siprec_anyio
import siprec_sync
from siprec.tones import tone, tone_share
from siprec_core.media.listener import AudioFrame
from siprec_core.recording.call import CallSpec, StreamSpec
from siprec_core.recording.events import SessionEstablished
from siprec_core.recording.policy import ServerConfig
from siprec_core.sip.transport import Hop
from siprec_core.types import Address, Transport
from tests.ports import rtp_ports

TONE = tone(440, 0.6, 8_000)


def spec(target: Address) -> CallSpec:
    return CallSpec(
        uri=f"sip:recorder@{target}",
        hop=Hop(Transport.UDP, target),
        local=Address("", 0),
        streams=(StreamSpec(label="7", aor="sip:alice@example.com"),),
    )


def assert_heard(frames: list[AudioFrame]) -> None:
    assert len(frames) == 30
    assert {(frame.label, len(frame.participants)) for frame in frames} == {("7", 1)}
    assert tone_share(b"".join(frame.pcm for frame in frames), 440, 8_000) > 0.98


def test_with_threads(tmp_path: Path) -> None:
    heard: list[AudioFrame] = []
    config = ServerConfig(rtp_ports=rtp_ports())
    with siprec_sync.serve("udp://127.0.0.1:0", config=config, sinks=siprec_sync.DirectorySinks(tmp_path)) as server:

        def follow() -> None:
            session = next(iter(server))
            for event in session:
                if isinstance(event, SessionEstablished):
                    heard.extend(session.audio("7"))

        thread = threading.Thread(target=follow)
        thread.start()
        with siprec_sync.connect(spec(server.listeners[0].address)) as call:
            call.wait_answered()
            call.send_audio("7", TONE)
            call.finish_audio("7")
            call.wait_sent()
            call.stop()
        thread.join(20)
    assert_heard(heard)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_with_tasks(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    heard: list[AudioFrame] = []

    async def follow(server: siprec_anyio.Server) -> None:  # type: ignore[type-arg]
        async for session in server:
            async for event in session:
                if isinstance(event, SessionEstablished):
                    audio = session.audio()
                    async for frame in audio:
                        heard.append(frame)
                        if len(heard) == 30:
                            audio.close()
                    audio.close()
                    assert audio.dropped == 0

    async def record() -> None:
        config = ServerConfig(rtp_ports=rtp_ports())
        sinks = siprec_anyio.DirectorySinks(tmp_path)
        async with (
            anyio.create_task_group() as tasks,
            siprec_anyio.serve("udp://127.0.0.1:0", config=config, sinks=sinks) as server,
        ):
            tasks.start_soon(follow, server)
            async with siprec_anyio.connect(spec(server.listeners[0].address)) as call:
                await call.wait_answered()
                call.send_audio("7", TONE)
                call.finish_audio("7")
                await call.wait_sent()

    anyio.run(record, backend=backend)
    assert_heard(heard)
