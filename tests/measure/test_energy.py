"""Energy: columns that are not mixed, and never a number from nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edgesnn.cli.main import run_line
from edgesnn.measure import power
from edgesnn.measure.energy import constants, estimates
from edgesnn.measure.power import Sensor, find_sensors, measured

WORK = {
    "operations_per_step": {
        "effective_ACs": 1000.0,
        "effective_MACs": 200.0,
        "dense_ACs": 10_000.0,
        "dense_MACs": 500.0,
    },
    "spikes_per_step": 30.0,
}


def test_arithmetic_by_hand() -> None:
    found = {row["name"]: row for row in estimates(WORK, 100)["arithmetic"]}
    own = found["horowitz_2014"]
    assert own["energy_per_step_nJ"] == pytest.approx((1000 * 0.1 + 200 * 0.3 + 100 * 0.1) / 1e3)
    assert own["dense_int8_nJ"] == pytest.approx(10_500 * 0.3 / 1e3)
    assert own["break_even_share"] == pytest.approx(10_500 * 0.3 / (10_000 * 0.1 + 500 * 0.3))
    loihi = found["loihi1_davies_2018"]
    assert loihi["synaptic_nJ"] == pytest.approx(1200 * 23.6 / 1e3)
    assert loihi["neurons_nJ"] == pytest.approx((70 * 52 + 30 * 81) / 1e3)
    assert loihi["dense_int8_nJ"] is None and loihi["break_even_share"] is None


def test_memory_and_boards_are_columns_of_their_own() -> None:
    found = estimates(WORK, 100)
    assert found["memory"]["energy_per_step_nJ"] == pytest.approx(1200 * 9 / 8 * 10 / 1e3)
    boards = {row["name"]: row["dense_int8_nJ"] for row in found["boards"]}
    assert boards["cortex_m4"] == pytest.approx(10_500 * 686 / 1e3)
    assert "loihi2" in found["unknown"]


def test_every_constant_says_where_it_is_from() -> None:
    tables = constants()
    for table in (*tables["operations"], tables["memory"], *tables["boards"]):
        for key in ("technology", "year", "includes", "source"):
            assert table[key], table


def counter(root: Path, name: str = "package-0", zone: str = "intel-rapl:0") -> Path:
    folder = root / "class" / "powercap" / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "max_energy_range_uj").write_text("3000000\n")
    (folder / "energy_uj").write_text("17\n")
    return folder / "energy_uj"


def step_for(seconds: float) -> int:
    time.sleep(seconds)
    return 100


def test_no_sensor_is_no_number(tmp_path: Path) -> None:
    found = measured(step_for, tmp_path)
    assert found["sensors"] == []
    assert found["reasons"] == [
        "this machine has no energy counter, power meter or discharging battery"
    ]


def test_a_counter_that_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = counter(tmp_path)

    def forbidden(self: Sensor) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Sensor, "read", forbidden)
    sensors, (reason,) = find_sensors(tmp_path)
    assert sensors == [] and f"sudo chmod a+r {path}" in reason


def test_a_counter_that_stands_still(tmp_path: Path) -> None:
    counter(tmp_path)
    found = measured(step_for, tmp_path, seconds=0.02, repetitions=2)
    assert found["sensors"] == []
    assert found["reasons"] == ["package-0 (0) stands still, as counters of virtual machines do"]


def test_a_file_without_a_number(tmp_path: Path) -> None:
    counter(tmp_path).write_text("none")
    assert "gives no number" in measured(step_for, tmp_path)["reasons"][0]


def test_a_counter_that_runs_over_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 W, and 50 W while there is work: the counter of 3 J runs over in between."""
    counter(tmp_path)
    used, last, watts = [2_900_000.0], [time.monotonic()], [20.0]

    def read(self: Sensor) -> int:
        now = time.monotonic()
        used[0] += watts[0] * (now - last[0]) * 1e6
        last[0] = now
        return int(used[0]) % 3_000_000

    def work(seconds: float) -> int:
        watts[0] = 50.0
        time.sleep(seconds)
        watts[0] = 20.0
        return 100

    monkeypatch.setattr(Sensor, "read", read)
    (row,) = measured(work, tmp_path, seconds=0.2, repetitions=3)["sensors"]
    assert row["idle_w"] == pytest.approx(20, rel=0.3)
    assert row["active_w"] == pytest.approx(50, rel=0.4)
    assert 20_000 < row["energy_per_step_uJ"] < 120_000  # 30 W for 2 ms
    assert row["standard_error_uJ"] >= 0


def test_meters_of_boards_and_batteries_are_found(tmp_path: Path) -> None:
    chip = tmp_path / "class" / "hwmon" / "hwmon2"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina3221")
    (chip / "power1_input").write_text("5000000")
    for name, status in (("BAT0", "Discharging"), ("BAT1", "Charging")):
        supply = tmp_path / "class" / "power_supply" / name
        supply.mkdir(parents=True)
        (supply / "status").write_text(status)
        (supply / "power_now").write_text("7000000")
    sensors, reasons = find_sensors(tmp_path)
    assert [s.name for s in sensors] == ["ina3221 power1_input", "BAT0"] and reasons == []
    rows = measured(step_for, tmp_path, seconds=0.05, repetitions=2)["sensors"]
    assert [row["idle_w"] for row in rows] == pytest.approx([5.0, 7.0], rel=0.05)


def test_sensors_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for number, microwatts in enumerate(("1000000", "5000000")):
        chip = tmp_path / "class" / "hwmon" / f"hwmon{number}"
        chip.mkdir(parents=True)
        (chip / "name").write_text("ina219")
        (chip / "power1_input").write_text(microwatts)
    rows = measured(step_for, tmp_path, seconds=0.05, repetitions=2)["sensors"]
    assert [row["idle_w"] for row in rows] == pytest.approx([1.0, 5.0], rel=0.05)
    assert len({row["name"] for row in rows}) == 2


def test_the_command_prints_three_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(power, "SYS", tmp_path)
    line = ["profile", "keyword", "--steps", "50", "--energy"]
    assert run_line([*line, "--json"]) == 0
    energy = json.loads(capsys.readouterr().out)["energy"]
    assert {"measured", "arithmetic", "memory", "boards", "unknown"} <= set(energy)
    assert run_line(line) == 0
    out = capsys.readouterr().out
    assert "nothing measured: " in out and "arithmetic only" in out and "measured whole" in out
