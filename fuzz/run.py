"""Runs fuzz targets for a time: under atheris where it is installed, else on inputs mutated at random.

    python -m fuzz.run sip framing --seconds 60
    python -m fuzz.run --all --seconds 30

A target is a module `fuzz/fuzz_NAME.py` with a function `check(data: bytes) -> None` that raises when the invariant in
line one of its docstring breaks. Its corpus is `fuzz/corpus/NAME/`. What breaks a target is written to `fuzz/crashes/`
and told, and the exit code is 1.
"""

import argparse
import hashlib
import importlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

Check = Callable[[bytes], None]

FOLDER = Path(__file__).resolve().parent
CORPUS = FOLDER / "corpus"
CRASHES = FOLDER / "crashes"
MAX_SIZE = 65_536
"""Octets of one input."""
TOKENS = (b"\r\n", b"\n", b"\0", b'"', b"<", b";", b":", b",", b" ", b"=", b"-1", b"4294967296")
"""What separates or overflows in the formats of the targets."""


def targets() -> list[str]:
    """Give the names of all targets, sorted."""
    return sorted(path.stem.removeprefix("fuzz_") for path in FOLDER.glob("fuzz_*.py"))


def load(name: str) -> Check:
    """Give the check of a target."""
    check: Check = importlib.import_module(f"fuzz.fuzz_{name}").check
    return check


def corpus(name: str) -> list[bytes]:
    """Give the committed inputs of a target, in the order of their file names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]


def mutate(data: bytes, others: list[bytes], choice: random.Random) -> bytes:
    """Give `data` with a few random edits: bits, octets, cuts, repeats, splices with another input."""
    mutated = bytearray(data)
    for _ in range(choice.randint(1, 8)):
        at = choice.randint(0, len(mutated))
        end = min(len(mutated), at + choice.randint(1, 64))
        edit = choice.randrange(7)
        if edit == 0 and mutated:
            mutated[at % len(mutated)] ^= 1 << choice.randrange(8)
        elif edit == 1:
            mutated[at:end] = choice.randbytes(choice.randint(0, 8))
        elif edit == 2:
            del mutated[at:end]
        elif edit == 3:
            mutated[at:at] = mutated[at:end] * choice.choice((1, 2, 100))
        elif edit == 4:
            mutated[at:at] = choice.choice(
                (b"\r\n", b"\n", b"\0", b'"', b"<", b";", b":", b",", b" ", b"-1", b"4294967296")
            )
        elif edit == 5:
            del mutated[at:]
        else:
            mutated[at:] = choice.choice(others)[-choice.randint(1, 4096) :] if others else b""
    return bytes(mutated[:MAX_SIZE])


def run_random(name: str, seconds: float, seed: int) -> int:
    """Run a target on mutations of its corpus; gives the number of inputs that broke it (it stops at the first)."""
    check, inputs, choice = load(name), corpus(name) or [b""], random.Random(seed)
    count, deadline = 0, time.monotonic() + seconds
    queue = list(inputs)
    while queue or time.monotonic() < deadline:
        data = queue.pop() if queue else mutate(choice.choice(inputs), inputs, choice)
        count += 1
        try:
            check(data)
        except Exception:  # noqa: BLE001 - whatever a target raises is what we look for
            path = CRASHES / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
            CRASHES.mkdir(exist_ok=True)
            path.write_bytes(data)
            traceback.print_exc()
            print(f"{name}: broken after {count} inputs by {path.relative_to(FOLDER.parent)}", file=sys.stderr)
            return 1
    print(f"{name}: {count} inputs, mutated at random with seed {seed}")
    return 0


def run_atheris(name: str, seconds: float, seed: int) -> int:
    """Run a target under atheris in a process of its own, because libFuzzer ends the process that it runs in."""
    CRASHES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as found:
        options = [f"-max_total_time={max(1, round(seconds))}", f"-max_len={MAX_SIZE}", f"-seed={seed}", "-verbosity=0"]
        options += [f"-artifact_prefix={CRASHES}/{name}-", "-print_final_stats=1", found]
        options += [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        command = [sys.executable, "-m", "fuzz.run", "--inside", name, *options]
        code = subprocess.run(command, cwd=FOLDER.parent, check=False).returncode
    print(f"{name}: {'broken, see fuzz/crashes' if code else 'held'} under atheris")
    return 1 if code else 0


def inside(name: str, options: list[str]) -> None:
    """Become the fuzzer of one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["siprec_core"]):
        check = load(name)
    atheris.Setup([f"fuzz_{name}", *options], check)
    atheris.Fuzz()


def find_checkout() -> None:
    """Let Python find the checkout's own packages before any that are installed."""
    paths = [str(FOLDER.parent), str(FOLDER.parent / "src")]
    sys.path[:] = paths + [path for path in sys.path if path not in paths]


def main(arguments: list[str]) -> int:
    """Run what the command line names; gives the exit code."""
    find_checkout()
    if arguments[:1] == ["--inside"]:
        inside(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="Run fuzz targets for a time.")
    parser.add_argument("target", nargs="*", help=f"any of: {' '.join(targets())}")
    parser.add_argument("--all", action="store_true", help="every target")
    parser.add_argument("--seconds", type=float, default=30.0, help="time of each target (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choices (default %(default)s)")
    parser.add_argument("--random", action="store_true", help="mutate at random although atheris is installed")
    options = parser.parse_args(arguments)
    chosen: list[str] = targets() if options.all else list(options.target)
    if not chosen or not set(chosen) <= set(targets()):
        parser.error(f"name targets, or --all: {' '.join(targets())}")
    guided = importlib.util.find_spec("atheris") is not None and not options.random
    run = run_atheris if guided else run_random
    return max(run(name, options.seconds, options.seed) for name in chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
