"""Several wearables at once, a thread for each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from realtime.simulator.faults import FaultDice, FaultRates
from realtime.simulator.link import Link
from realtime.simulator.wearable import Wearable, WearableOptions, WearableReport
from storage.protocols import RecordingSource

TICK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What is simulated.

    Parameters
    ----------
    url, token
        The service, and what it wants for its authentication.
    patient_id, recording_id
        How the recording is to be called; of several devices each gets ``-1``, ``-2`` and so on
        at the end of both.
    devices
        How many send at once.
    rates, seed
        Faults on the way.
    """

    url: str
    patient_id: str
    recording_id: str
    token: str | None = None
    devices: int = 1
    rates: FaultRates = field(default_factory=FaultRates)
    seed: int = 0
    options: WearableOptions = field(default_factory=WearableOptions)


def run_crowd(
    crowd: Crowd,
    open_source: Callable[[], RecordingSource],
    advance: Callable[[int], None] = lambda samples: None,
) -> list[WearableReport]:
    """Let all devices send until each is done, and say what they did.

    Interrupted by hand, they stop after the chunk under way, and the reports say so.

    Parameters
    ----------
    crowd
        What is simulated.
    open_source
        Opens the recording, for each device anew.
    advance
        Told of samples that were acknowledged; called from any thread.
    """
    stop = threading.Event()
    reports: dict[int, WearableReport] = {}
    failures: list[BaseException] = []
    # Waited for instead of the threads: a join that Ctrl-C interrupts takes the thread for ended.
    done = threading.Semaphore(0)

    def run(number: int) -> None:
        ending = f"-{number + 1}" if crowd.devices > 1 else ""
        try:
            with open_source() as source, Link(crowd.url, crowd.token) as link:
                device = Wearable(
                    source,
                    link,
                    crowd.patient_id + ending,
                    crowd.recording_id + ending,
                    crowd.options,
                    FaultDice(crowd.rates, crowd.seed, number),
                    stop,
                    advance,
                )
                reports[number] = device.report
                device.run()
        except BaseException as error:  # noqa: BLE001  # outermost frame: raised below
            failures.append(error)
            stop.set()
        finally:
            done.release()

    threads = [
        threading.Thread(target=run, args=(number,), name=f"wearable-{number + 1}")
        for number in range(crowd.devices)
    ]
    for thread in threads:
        thread.start()
    left = crowd.devices
    while left:
        try:
            left -= done.acquire(timeout=TICK_S)
        except KeyboardInterrupt:
            stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [reports[number] for number in range(crowd.devices)]
