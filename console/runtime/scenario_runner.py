"""Carries a scenario out on real processes, and heals whatever happens.

Uses the same source and commands as the console. Time runs from the moment when the load is ready.
Steps run one after another; steady probes are watched between and during them. However the run ends
(verdict, halt, Ctrl-C, a defect here) faults are lifted, and nodes that it started are stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, final

import trio

from console.errors import ClusterUnreachable, ConsoleError, UsageError
from console.fault_targets import ANY, ARROW, CLIENT
from console.load.tally import LoadReport
from console.runtime.key_sweep import count_lost_keys
from console.runtime.launcher import StartOptions
from console.runtime.live_source import LiveOptions, LiveSource
from console.scenario import Metric, Probe, Scenario, Step, Verb, describe
from console.scenario_metrics import Measurements, moved_between
from console.scenario_report import Report, StepResult, shown
from console.source import ClusterSnapshot, CommandResult
from nodecore.placement.hashing import slot_of

TICK_S: Final = 0.1
READY_S: Final = 60.0
SETTLE_S: Final = 60.0
"""For a change of membership to end."""
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
        self._tell = tell
        self._measurements = Measurements()
        self._saved: dict[str, str] = {}
        self._heard = trio.Event()
        self._loaded = trio.Event()
        self._begun_s = 0.0
        self._step_ended_s = 0.0
        start = None
        if scenario.cluster is not None:
            settings = {"down_grace_s": 15.0, **scenario.cluster.settings}
            start = StartOptions(scenario.cluster.nodes, chaos=True, settings=settings)
        self._source = LiveSource(
            LiveOptions(
                name,
                start=start,
                load=scenario.load,
                tell=tell,
                on_report=self._take_report,
            )
        )
        self._source.set_interval(SNAPSHOT_S)

    async def run(self) -> None:
        """Carry it out; the report says how it ended.

        Raises:
            ConsoleError: the cluster could not be started or found.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._source.run, self._take_snapshot)
            try:
                await self._play()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + HEAL_S):
                    await self._end()
                nursery.cancel_scope.cancel()

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
                await self._gate()
                for step in self._scenario.steps:
                    await self._carry_out(step)
                await self._verdict()
            except _Halt as halt:
                self._report.halt(str(halt))
        if scope.cancelled_caught:
            self._report.halt(f"not finished within {self._scenario.deadline_s:g} s")

    async def _end(self) -> None:
        if self._scenario.heal_at_end and self._heard.is_set():
            result = await self._source.heal_all()
            self._note_step(0, "heal", f"finally: {result.text}", result.ok)

    # -- watching -------------------------------------------------------------------------------

    def _take_snapshot(self, snapshot: ClusterSnapshot) -> None:
        self._measurements.take_snapshot(snapshot)
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
        if probe.metric is Metric.LOST_KEYS:
            await self._sweep()
        value = self._measure(probe)
        while not probe.holds(value) and trio.current_time() < end:
            await self._tick()
            value = self._measure(probe)
        result = self._report.add_probe(self._since_s(), phase, probe, value)
        mark = "ok  " if result.ok else "FAIL"
        words = probe.text or probe.name
        self._say(f"{mark} {words}: {probe.metric} {shown(value)} ({probe.bounds()})")
        return result.ok

    async def _sweep(self) -> None:
        load = self._scenario.load
        if load is None:
            return
        doors = list(self._source.doors().values())
        self._measurements.lost_keys = float(await count_lost_keys(doors, load.keys))

    # -- steps ----------------------------------------------------------------------------------

    async def _carry_out(self, step: Step) -> None:
        await self._wait_for_moment(step)
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
            case Verb.HEAL:
                return _told(await self._source.heal_all())
            case Verb.NODE_ADD:
                return await self._add(step.count)
            case Verb.NODE_REMOVE:
                return await self._remove(self._resolve(step.target))
            case Verb.TOXIC | Verb.CUT:
                return await self._fault(step)
            case _:
                return await self._process(step)

    async def _process(self, step: Step) -> tuple[str, bool]:
        node_id = self._resolve(step.target)
        if step.save:
            self._saved[step.save] = node_id
        verbs = {
            Verb.KILL: self._source.kill,
            Verb.PAUSE: self._source.pause,
            Verb.RESUME: self._source.resume,
            Verb.RESTART: self._source.restart,
        }
        if step.verb in (Verb.KILL, Verb.PAUSE):
            self._measurements.note_fault(_wall_ms())
        text, ok = _told(await verbs[step.verb]([node_id]))
        if ok and step.verb is Verb.PAUSE and step.for_s is not None:
            await self._sleep(step.for_s)
            return _told(await self._source.resume([node_id]))
        return text, ok

    async def _fault(self, step: Step) -> tuple[str, bool]:
        link = ARROW.join(self._resolve(part.strip()) for part in step.target.split(ARROW))
        if step.save:
            self._saved[step.save] = link
        self._measurements.note_fault(_wall_ms())
        result = await self._source.add_fault(
            step.kind,
            link,
            step.attributes,
            stream=step.stream,
            toxicity=step.toxicity,
            for_s=step.for_s,
            control=step.control,
        )
        return _told(result)

    async def _add(self, count: int) -> tuple[str, bool]:
        before = self._snapshot()
        preview = await self._source.preview_add(count)
        members = len(self._members())
        result = await self._source.add_nodes(count)
        if not result.ok:
            return _told(result)
        await self._settle(lambda ids: len(ids) == members + count)
        self._note_move(before, preview.minimum_share)
        share = self._measurements.moved_share
        return (
            f"{result.text}: {shown(share)} of the slots moved, "
            f"a fair share is {preview.minimum_share:.4g}",
            True,
        )

    async def _remove(self, node_id: str) -> tuple[str, bool]:
        before = self._snapshot()
        members = len(self._members())
        result = await self._source.remove_node(node_id)
        if result.ok:
            await self._settle(lambda ids: node_id not in ids)
            self._note_move(before, 1.0 / members)
        return _told(result)

    async def _settle(self, done: Callable[[Sequence[str]], bool]) -> None:
        """Wait until the change is over."""
        end = trio.current_time() + SETTLE_S
        while not (self._snapshot().state == "stable" and done(self._members())):
            if trio.current_time() > end:
                raise ConsoleError(f"the change was not over within {SETTLE_S:g} s")
            await self._tick()

    def _note_move(self, before: ClusterSnapshot, minimum: float) -> None:
        self._measurements.moved_share = moved_between(before, self._snapshot())
        self._measurements.moved_minimum = minimum

    def _members(self) -> list[str]:
        topology = self._source.assembler().topology
        return [str(member.node_id) for member in topology.members] if topology else []

    def _snapshot(self) -> ClusterSnapshot:
        snapshot = self._measurements.snapshot
        if snapshot is None:
            raise ClusterUnreachable("no node has answered yet")
        return snapshot

    def _resolve(self, word: str) -> str:
        """A node's id for a target's word.

        Raises:
            UsageError: it names no node now.
        """
        if word in (ANY, CLIENT):
            return word
        if word.startswith("$"):
            return self._saved[word[1:]]
        snapshot = self._snapshot()
        if word == "hot":
            if snapshot.hot_keys:
                return snapshot.hot_keys[0][1]
            raise UsageError("hot: no key is hot yet")
        if word.startswith("owner:"):
            slot_map = self._source.assembler().slot_map
            if slot_map is None:
                raise ClusterUnreachable("owners are not known yet")
            return str(slot_map.owners[slot_of(word[6:].encode())][0])
        if word not in [row.node_id for row in snapshot.members]:
            raise UsageError(f"{word}: no such node")
        return word

    def _say(self, text: str) -> None:
        self._tell(f"{self._since_s():6.1f} s  {text}" if self._begun_s else text)


def _told(result: CommandResult) -> tuple[str, bool]:
    return result.text, result.ok


def _wall_ms() -> int:
    return int(time.time() * 1000)


async def run_scenario(scenario: Scenario, report: Report, name: str, tell: Tell) -> None:
    """Run a scenario to its report; Ctrl-C is an outcome too.

    Raises:
        ConsoleError: the cluster could not be started or found.
    """
    started = time.monotonic()
    try:
        await ScenarioRunner(scenario, report, name, tell).run()
    finally:
        report.finish(time.monotonic() - started)
