"""A call whose block is cancelled is ended by BYE."""

import pytest

import anyio
from siprec_anyio import connect
from siprec_core import CallSpec, StreamSpec
from siprec_core.recording.policy import ServerConfig
from siprec_sync import MemorySinks, serve
from tests.ports import rtp_ports

pytestmark = pytest.mark.anyio


async def test_a_call_that_is_cancelled_is_ended_by_bye() -> None:
    streams = (StreamSpec(label="1", aor="sip:alice@example.com"),)
    with serve("udp://127.0.0.1:0", config=ServerConfig(rtp_ports=rtp_ports()), sinks=MemorySinks()) as server:
        spec = CallSpec(uri=f"sip:{server.listeners[0].address};transport=udp", streams=streams)
        for _ in range(5):  # which task a cancellation reaches first is chance
            with anyio.CancelScope() as scope:
                async with connect(spec) as call:
                    await call.wait_answered()
                    scope.cancel()
                    await anyio.sleep_forever()
            assert call.progress.ended is not None
            assert call.progress.ended.reason == "local-bye"
