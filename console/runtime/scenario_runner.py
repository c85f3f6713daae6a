"""Carries a scenario out on real processes, and heals whatever happens.

Uses the same source and commands as the console, with a screen (``perform``) and without (``run``).
Time runs from the moment when the load is ready. Steps run one after another; steady probes are
watched between and during them. However the run ends (verdict, halt, Ctrl-C, a defect here) faults
are lifted, and nodes that it started are stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, final

import trio

from console.errors import ConsoleError
from console.load.tally import LoadReport
from console.runtime.launcher import StartOptions
from console.runtime.live_source import LiveOptions, LiveSource
from console.runtime.scenario_data import DATA_METRICS, ScenarioData
from console.runtime.scenario_placement import ScenarioPlacement
from console.runtime.scenario_steps import ScenarioSteps
from console.scenario import ASKED, Metric, Probe, Scenario, Step, Verb, describe
from console.scenario_metrics import Measurements
from console.scenario_progress import Phase, ScenarioProgress
from console.scenario_report import Outcome, Report, StepResult, shown
from console.source import ClusterSnapshot

TICK_S: Final = 0.1
READY_S: Final = 60.0
HEAL_S: Final = 20.0
SNAPSHOT_S: Final = 0.25

Tell = Callable[[str], None]


class _Halt(Exception):  # noqa: N818 - ends a run, it is not an error
    """The run must stop now; the text says why."""


@final
class ScenarioRunner:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, report: Report, name: str, tell: Tell) -> None:
        self._scenario = scenario
        self._report = report
        self.tell = tell
        self.progress = ScenarioProgress(scenario, report)
        self._measurements = Measurements()
        self._heard = trio.Event()
        self._loaded = trio.Event()
        self._begun_s = 0.0
        self._step_ended_s = 0.0
        start = None
        if scenario.cluster is not None:
            settings = {"down_grace_s": 15.0, **scenario.cluster.settings}
            start = StartOptions(
                scenario.cluster.nodes, chaos=True, settings=settings, owner_pid=os.getpid()
            )
        self._source = LiveSource(
            LiveOptions(
                name,
                start=start,
                load=scenario.load,
                tell=lambda text: self.tell(text),
                on_report=self._take_report,
            )
        )
        self._source.set_interval(SNAPSHOT_S)
        keys = scenario.load.keys if scenario.load is not None else 0
        self._data = ScenarioData(self._source, self._measurements)
        self._placement = ScenarioPlacement(self._source, self._measurements, keys)
        self._steps = ScenarioSteps(
            self._source, self._measurements, self._sleep, self._placement.note_moves
        )

    @property
    def source(self) -> LiveSource:
        """The cluster that the scenario runs on; it is watched while the scenario runs."""
        return self._source

    async def run(self) -> None:
        """Carry it out; the report says how it ended.

        Raises:
            ConsoleError: the cluster could not be started or found.
        """
        await self._perform(lambda _: None, stay=False)

    async def perform(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        """Carry it out under the eyes of a screen, which may look on until it cancels this.

        Raises:
            ConsoleError: the cluster could not be started or found.
        """
        await self._perform(on_snapshot, stay=True)

    async def _perform(self, on_snapshot: Callable[[ClusterSnapshot], None], *, stay: bool) -> None:
        def take(snapshot: ClusterSnapshot) -> None:
            self._take_snapshot(snapshot)
            on_snapshot(snapshot)

        # Healing needs the source: it is cancelled by us alone, after that.
        watching = trio.CancelScope(shield=True)

        async def watch() -> None:
            with watching:
                await self._source.run(take)

        started = time.monotonic()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                try:
                    await self._play()
                except BaseException:
                    self._report.interrupt()
                    raise
                finally:
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + HEAL_S):
                        await self._end()
                    self._report.finish(time.monotonic() - started)
                    self.progress.enter(Phase.ENDED)
                self.tell(self.progress.verdict())
                if stay:
                    await trio.sleep_forever()
            finally:
                watching.cancel()

    async def _play(self) -> None:
        with trio.move_on_after(READY_S) as waiting:
            await self._heard.wait()
            if self._scenario.load is not None:
                await self._loaded.wait()
            waiting.deadline = float("inf")
        if waiting.cancelled_caught:
            self._report.halt(f"cluster and load were not ready within {READY_S:g} s")
            return
        self._begun_s = self._step_ended_s = trio.current_time()
        self._measurements.begin()
        with trio.move_on_after(self._scenario.deadline_s) as scope:
            try:
                self.progress.enter(Phase.BEFORE)
                await self._gate()
                self.progress.enter(Phase.STEPS)
                for step in self._scenario.steps:
                    await self._carry_out(step)
                self.progress.enter(Phase.AFTER)
                await self._verdict()
            except _Halt as halt:
                self._report.halt(str(halt))
        if scope.cancelled_caught:
            self._report.halt(f"not finished within {self._scenario.deadline_s:g} s")

    async def _end(self) -> None:
        if self._report.outcome is Outcome.INTERRUPTED and self._source.owns_nodes:
            # The nodes end with this run: there is nothing to bring back.
            return
        if self._scenario.heal_at_end and self._heard.is_set():
            self.progress.enter(Phase.HEALING)
            result = await self._source.heal_all()
            self._note_step(0, "heal", f"finally: {result.text}", result.ok)

    # -- watching -------------------------------------------------------------------------------

    def _take_snapshot(self, snapshot: ClusterSnapshot) -> None:
        self._measurements.take_snapshot(snapshot)
        if self._begun_s and self.progress.phase is not Phase.ENDED:
            self.progress.elapsed_s = self._since_s()
        if snapshot.epoch is not None:
            self._heard.set()

    def _take_report(self, report: LoadReport) -> None:
        self._measurements.take_report(report)
        if report.ready and report.rate > 0:
            self._loaded.set()

    def _since_s(self) -> float:
        return trio.current_time() - self._begun_s

    async def _tick(self, seconds: float = TICK_S) -> None:
        """Let time pass, watching the probes that may halt the run."""
        await trio.sleep(max(0.0, min(seconds, TICK_S)))
        for probe in self._scenario.probes:
            if probe.halt_above is None:
                continue
            value = self._measure(probe)
            if value is not None and value > probe.halt_above:
                raise _Halt(
                    f"{probe.name}: {probe.metric} is {shown(value)}, above {probe.halt_above:g}"
                )

    def _measure(self, probe: Probe) -> float | None:
        return self._measurements.measure(probe.metric, _wall_ms(), probe.window_s, probe.grace_s)

    async def _gate(self) -> None:
        """The steady claims must hold before anything is broken."""
        steady = [probe for probe in self._scenario.probes if probe.steady]
        if steady:
            await self._sleep(max(probe.window_s for probe in steady))
        for probe in steady:
            if not await self._judge(probe, "before", within_s=5.0):
                raise _Halt(f"{probe.name} does not hold before anything was done")

    async def _verdict(self) -> None:
        for probe in self._scenario.probes:
            if probe.steady:
                await self._judge(probe, "after", within_s=10.0)

    async def _judge(self, probe: Probe, phase: str, within_s: float) -> bool:
        """Measure a claim, waiting at most ``within_s`` for it to hold."""
        end = trio.current_time() + within_s
        while True:
            if probe.metric in ASKED and (remark := await self._ask(probe.metric)):
                self._say(f"     {remark}")
            value = self._measure(probe)
            if probe.holds(value) or trio.current_time() >= end:
                break
            await self._tick()
        result = self._report.add_probe(self._since_s(), phase, probe, value)
        mark = "ok  " if result.ok else "FAIL"
        words = probe.text or probe.name
        self._say(f"{mark} {words}: {probe.metric} {shown(value)} ({probe.bounds()})")
        return result.ok

    async def _ask(self, metric: Metric) -> str:
        """Ask the cluster; what can't be asked is unknown, which fulfils no claim."""
        asks = self._data.ask if metric in DATA_METRICS else self._placement.ask
        self._measurements.asked.pop(metric, None)
        try:
            return await asks(metric)
        except ConsoleError as error:
            return error.text

    # -- steps ----------------------------------------------------------------------------------

    async def _carry_out(self, step: Step) -> None:
        self.progress.wait_for(step)
        await self._wait_for_moment(step)
        self.progress.begin(step)
        if step.note and step.verb is not Verb.NOTE:
            self._say(f"     {step.note}")
        try:
            text, ok = await self._do(step)
        except ConsoleError as error:
            text, ok = error.text, False
        self._step_ended_s = trio.current_time()
        if step.verb is not Verb.EXPECT:
            self._note_step(step.number, str(step.verb), text, ok)

    def _note_step(self, number: int, verb: str, text: str, ok: bool) -> None:
        self._report.add_step(StepResult(round(self._since_s(), 2), number, verb, text, ok))
        self._say(f"{'->  ' if ok else 'FAIL'} {text}")

    async def _wait_for_moment(self, step: Step) -> None:
        if step.when:
            end = trio.current_time() + step.timeout_s
            while not all(
                condition.holds(self._measurements.measure(condition.metric, _wall_ms()))
                for condition in step.when
            ):
                if trio.current_time() >= end:
                    wanted = " and ".join(map(str, step.when))
                    raise _Halt(f"step {step.number}: {wanted} did not come true")
                await self._tick()
            return
        moment = self._step_ended_s + (step.after_s or 0.0)
        if step.at_s is not None:
            moment = self._begun_s + step.at_s
        await self._sleep(moment - trio.current_time())

    async def _sleep(self, seconds: float) -> None:
        end = trio.current_time() + seconds
        while (left := end - trio.current_time()) > 0:
            await self._tick(left)

    async def _do(self, step: Step) -> tuple[str, bool]:
        match step.verb:
            case Verb.NOTE:
                return step.note, True
            case Verb.WAIT:
                await self._sleep(step.for_s or 0.0)
                return describe(self._scenario, step), True
            case Verb.EXPECT:
                probe = self._scenario.probe(step.probe)
                return step.probe, await self._judge(probe, f"step {step.number}", step.within_s)
            case Verb.DISTRIBUTION:
                table = self._placement.distribution(step.number, round(self._since_s(), 2))
                self._report.tables.append(table)
                for line in table.lines():
                    self._say(f"     {line}")
                return table.title, True
            case Verb.KEYSPACE | Verb.WRITE | Verb.READ:
                return await self._data.carry_out(step)
            case Verb.REBALANCE:
                return await self._steps.rebalance(step)
            case _:
                return await self._steps.carry_out(step)

    def _say(self, text: str) -> None:
        if self._begun_s:
            self.progress.elapsed_s = self._since_s()
        self.tell(text)


def _wall_ms() -> int:
    return int(time.time() * 1000)
