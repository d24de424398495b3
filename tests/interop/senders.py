"""How SIPp starts the program that sends the audio."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

_SENDER = Path(__file__).with_name("rtp_sender.py")


def sender_command(folder: Path, seconds: float) -> str:
    """Give the command that reports into `folder`; what to send where is to follow it."""
    report = str(folder / "sent.json")
    # -I and -S: nothing but the standard library, and a quick start.
    return shlex.join([sys.executable, "-I", "-S", str(_SENDER), "--seconds", str(seconds), "--report", report])


def read_sent(folder: Path) -> dict[int, dict[str, Any]]:
    """Give what was sent, by SSRC. Raises FileNotFoundError when the sender did not get to its end."""
    report: list[dict[str, Any]] = json.loads((folder / "sent.json").read_text(encoding="utf-8"))
    return {int(each["ssrc"]): each for each in report}
