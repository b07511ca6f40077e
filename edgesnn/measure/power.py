"""Power and energy sensors of the machine, through Linux' own files.

- RAPL (Intel, AMD): counters of microjoules in /sys/class/powercap, which run over at a maximum
  that they tell. Reading them needs a right that most systems give to root alone.
- hwmon: power meters of boards (Jetson, Raspberry Pi hats with an INA chip) in microwatts.
- batteries that discharge, in microwatts.

A measurement alternates rest and work of the same length. What work costs is what it takes beyond
rest, per step; its standard error is that of the repetitions.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SYS = Path("/sys")
_EVERY_S = 0.05
_UNREADABLE = (
    "{path} is there and cannot be read: its reading is root's; allow it with sudo chmod a+r {path}"
)


@dataclass(slots=True)
class Sensor:
    """One source of energy readings. counter: microjoules that run over at `range_uj`; else
    microwatts at a moment."""

    name: str
    path: Path
    counter: bool
    range_uj: int = 0

    def read(self) -> int:
        """Return the number in the file; raises OSError, ValueError."""
        return int(self.path.read_text())


@dataclass(slots=True)
class Meter:
    """Joules since `begin`, from readings often enough that no counter runs over unseen."""

    sensor: Sensor
    joules: float = 0.0
    _last: int = 0
    _last_s: float = field(default=0.0)

    def begin(self) -> None:
        """Start from here."""
        self._last, self._last_s, self.joules = self.sensor.read(), time.monotonic(), 0.0

    def look(self) -> None:
        """Add what was taken since the last look."""
        value, now = self.sensor.read(), time.monotonic()
        if self.sensor.counter:
            passed = value - self._last
            self.joules += (passed + self.sensor.range_uj * (passed < 0)) / 1e6
        else:
            self.joules += (value + self._last) / 2e6 * (now - self._last_s)
        self._last, self._last_s = value, now


def find_sensors(root: Path | None = None) -> tuple[list[Sensor], list[str]]:
    """Return the sensors that can be read, and why others cannot. root: instead of /sys."""
    root = root or SYS
    found, reasons = [], []
    for sensor in (*_rapl(root), *_hwmon(root), *_batteries(root)):
        try:
            sensor.read()
        except PermissionError:
            reasons.append(_UNREADABLE.format(path=sensor.path))
        except (OSError, ValueError) as error:
            reasons.append(f"{sensor.path} gives no number: {error}")
        else:
            found.append(sensor)
    names = [sensor.name for sensor in found]
    for at, sensor in enumerate(found):
        if names.count(sensor.name) > 1:
            sensor.name = f"{sensor.name} ({sensor.path.parent.name})"
            if any(other.name == sensor.name for other in found[:at]):
                sensor.name = f"{names[at]} ({sensor.path})"
    if not found and not reasons:
        reasons.append("this machine has no energy counter, power meter or discharging battery")
    return found, reasons


def measured(
    work: Callable[[float], int],
    root: Path | None = None,
    *,
    seconds: float = 1.0,
    repetitions: int = 5,
) -> dict[str, Any]:
    """Measure a piece of work on every sensor; return plain JSON values.

    work: works for so many seconds and returns how many steps it took.
    {"sensors": [{"name", "idle_w", "active_w", "energy_per_step_uJ", "standard_error_uJ"}],
    "reasons": [...]}: reasons says why a sensor, or all of them, give nothing.
    """
    sensors, reasons = find_sensors(root)
    if not sensors:
        return {"sensors": [], "reasons": reasons}
    rest: dict[str, list[float]] = {s.name: [] for s in sensors}
    active: dict[str, list[float]] = {s.name: [] for s in sensors}
    each: dict[str, list[float]] = {s.name: [] for s in sensors}
    for _ in range(repetitions):
        idle_s, _, idle = _metered(sensors, lambda: _rest(seconds))
        busy_s, steps, busy = _metered(sensors, lambda: work(seconds))
        for name in rest:
            rest[name].append(idle[name] / idle_s)
            active[name].append(busy[name] / busy_s)
            beyond = busy[name] - idle[name] / idle_s * busy_s
            each[name].append(beyond / max(1, steps) * 1e6)
    results = []
    for name in rest:
        if not any(rest[name]) and not any(active[name]):
            reasons.append(f"{name} stands still, as counters of virtual machines do")
            continue
        error = statistics.stdev(each[name]) / math.sqrt(repetitions) if repetitions > 1 else None
        results.append(
            {
                "name": name,
                "idle_w": statistics.fmean(rest[name]),
                "active_w": statistics.fmean(active[name]),
                "energy_per_step_uJ": statistics.fmean(each[name]),
                "standard_error_uJ": error,
            }
        )
    return {"sensors": results, "reasons": reasons}


def _rest(seconds: float) -> int:
    time.sleep(seconds)
    return 0


def _metered(sensors: list[Sensor], work: Callable[[], int]) -> tuple[float, int, dict[str, float]]:
    """Do a piece of work; return how long it took, what it returned, and joules by sensor."""
    meters = [Meter(sensor) for sensor in sensors]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            for meter in meters:
                meter.look()

    for meter in meters:
        meter.begin()
    watcher = threading.Thread(target=watch, name="edgesnn-power", daemon=True)
    began = time.monotonic()
    watcher.start()
    done = work()
    over.set()
    watcher.join()
    for meter in meters:
        meter.look()
    return time.monotonic() - began, done, {m.sensor.name: m.joules for m in meters}


def _rapl(root: Path) -> list[Sensor]:
    found = []
    for zone in sorted((root / "class" / "powercap").glob("*-rapl:*")):
        if not (zone / "energy_uj").exists():
            continue
        kind = _text(zone / "name") or "rapl"
        most = _text(zone / "max_energy_range_uj")
        parent = zone.name.partition(":")[2]
        name = f"{kind} ({parent})"
        found.append(Sensor(name, zone / "energy_uj", True, int(most) if most.isdecimal() else 0))
    return found


def _hwmon(root: Path) -> list[Sensor]:
    found = []
    for chip in sorted((root / "class" / "hwmon").glob("hwmon*")):
        for path in sorted(chip.glob("power*_input")):
            label = _text(chip / path.name.replace("_input", "_label")) or path.stem
            found.append(Sensor(f"{_text(chip / 'name')} {label}".strip(), path, False))
    return found


def _batteries(root: Path) -> list[Sensor]:
    return [
        Sensor(supply.name, supply / "power_now", False)
        for supply in sorted((root / "class" / "power_supply").glob("*"))
        if _text(supply / "status") == "Discharging" and (supply / "power_now").exists()
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
