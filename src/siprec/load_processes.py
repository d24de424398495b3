"""A load test in several processes, each with its share of the calls and of the ports."""

from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

from siprec.load import LoadPlan, LoadProgress, LoadResult, LoadRun, pairs_of_slot, raise_descriptor_limit

_PROGRESS_SECONDS = 0.5


def shares_of(plan: LoadPlan, processes: int) -> list[LoadPlan]:
    """Split a plan among processes, ports included. Raises ConfigurationError when there are too few ports."""
    count = min(processes, plan.limit, plan.total)
    low, high = plan.rtp_ports
    width = (high - low + 1) // count // 2 * 2
    plans = [
        replace(
            plan,
            total=plan.total // count + (index < plan.total % count),
            limit=plan.limit // count + (index < plan.limit % count),
            rate=plan.rate / count,
            rtp_ports=(low + index * width, low + (index + 1) * width - 1),
        )
        for index in range(count)
    ]
    for each in plans:
        pairs_of_slot(each)
    return plans


def run_processes(
    plan: LoadPlan, processes: int, *, progress: Callable[[LoadProgress], None] | None = None
) -> LoadResult:
    """Carry out a plan in several processes; `progress` is told from time to time how far all of them are.

    INT lets the calls under way end, and no more begin. Raises ConfigurationError.
    """
    shares = shares_of(plan, processes)
    context = get_context("spawn")
    counts = context.Array("q", len(LoadProgress._fields) * len(shares), lock=False)
    with ProcessPoolExecutor(len(shares), context, initializer=_keep, initargs=(counts,)) as pool:
        runs = {pool.submit(run_share, share, number) for number, share in enumerate(shares)}
        waiting: set[Future[LoadResult]] = set(runs)
        while waiting:
            # INT reaches the processes as well, and they see to it.
            with suppress(KeyboardInterrupt):
                waiting = wait(waiting, timeout=_PROGRESS_SECONDS).not_done
                if progress is not None:
                    progress(_added(list(counts)))
        return merged([run.result() for run in runs])


def run_share(plan: LoadPlan, number: int = 0) -> LoadResult:
    """Carry out a plan within a process of its own."""
    raise_descriptor_limit(plan)
    return LoadRun(plan, progress=partial(_tell, number)).run()


_kept: list[MutableSequence[int]] = []
"""Where a process tells how far it is, the memory that it shares with the others."""


def _keep(counts: MutableSequence[int]) -> None:
    _kept.append(counts)


def _tell(number: int, run: LoadRun) -> None:
    width = len(LoadProgress._fields)
    for counts in _kept:
        counts[number * width : (number + 1) * width] = list(run.standing)


def _added(counts: Sequence[int]) -> LoadProgress:
    width = len(LoadProgress._fields)
    return LoadProgress(*(sum(counts[place::width]) for place in range(width)))


def merged(results: list[LoadResult]) -> LoadResult:
    """Add the results of several processes up."""
    whole = LoadResult()
    for each in results:
        whole.begun += each.begun
        whole.complete += each.complete
        whole.peak += each.peak
        whole.unreachable += each.unreachable
        whole.failures += each.failures
        whole.findings += each.findings
        whole.set_ups += each.set_ups
        whole.packets_sent += each.packets_sent
        whole.packets_by_call |= each.packets_by_call
        whole.elapsed = max(whole.elapsed, each.elapsed)
    return whole
