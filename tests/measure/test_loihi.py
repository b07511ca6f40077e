"""The report on a Loihi: limits by hand, broken ones named, the shipped networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesnn.bundle import load_bundle
from edgesnn.cli.main import run_line
from edgesnn.measure.loihi import report_on
from edgesnn.program import Add, Fire, Integrate, Layer, Leaky, Program


def dense(order: int = 1, tap: int = 1, theta: int = 50, weight: int = 1, high: int = 1) -> Program:
    """Ten inputs, four neurons, all weights alike."""
    tensors = {
        "w": np.full((4, 10), weight, np.int8),
        "taps": np.full((1, order), tap, np.int8),
        "theta": np.full(4, theta, np.int32),
    }
    node = Layer("only", "x", "w", "taps", "theta", op="linear")
    return Program("dense", 1000, (10, 1, 1), high, (node,), "only", tensors)


def row(program: Program) -> dict:
    (only,) = report_on(program)["layers"]
    return only


def test_a_dense_layer_by_hand() -> None:
    only = row(dense(order=3))
    assert (only["neurons"], only["synapses"], only["delay"]) == (4, 3 * 40, 2)
    assert (only["sums"], only["theta"], only["way"]) == (30, 50, "stock")
    assert only["synapse_bits"] == 120 * 14 and only["cores_loihi1"] == 1
    assert report_on(dense(order=3))["fits"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (dense(order=64), "only: remembers 63 steps; delays go to 62"),
        (dense(theta=200_000), "only: a threshold of 200,000"),
        (dense(order=40, tap=7, weight=127), "only: |H| up to 355,600; neurons compare up to"),
    ],
)
def test_hard_limits_are_named_with_the_number(program: Program, message: str) -> None:
    report = report_on(program)
    assert not report["fits"] and any(message in sentence for sentence in report["broken"])


@pytest.mark.parametrize("kind", ["integrate", "fire", "add"])
def test_limits_hold_for_neurons_that_compare_what_others_summed(kind: str) -> None:
    program = dense(order=40, tap=7, weight=127)
    (layer,) = program.nodes
    sums = replace(layer, threshold=None)
    tensors = {**program.tensors, "current": np.zeros(4, np.int32)}
    own = {
        "integrate": Integrate("n", "only", "theta", "current", bits=0),
        "fire": Fire("n", "only", "theta"),
        "add": Add("n", ("only", "only"), "theta"),
    }[kind]
    whole = replace(program, nodes=(sums, own), output="n", tensors=tensors)
    bound = 711_200 if kind == "add" else 355_600
    assert any(f"n: |H| up to {bound:,}" in one for one in report_on(whole)["broken"])


def test_what_is_exact_on_stock_processes_only_sometimes() -> None:
    assert row(dense(tap=2, weight=127))["way"] == "own"
    counts = row(dense(high=7))
    assert counts["way"] == "stock" and "graded messages (Loihi 2)" in counts["why"]
    assert row(dense(order=8, weight=127, tap=1))["doubts"] == ()
    assert "beyond 32,767" in row(dense(order=30, weight=127))["doubts"][0]


def test_neurons_that_are_loihis_own() -> None:
    sums = Layer("sums", "x", "w", op="linear")
    tensors = dense().tensors | {"current": np.full(4, -128, np.int32)}
    tensors["whole"] = np.full(4, 50 * 64 + 1, np.int32)  # V > 50 in 64ths
    tensors["odd"] = np.full(4, 50 * 64 + 2, np.int32)
    tensors["many"] = np.array([65, 65, 129, 65], np.int32)
    own = Integrate("n", "sums", "whole", "current", keep=4000, bits=6)
    whole = Leaky("n", "sums", "theta", "current")
    ways = []
    others = [Integrate("n", "sums", theta, "current", bits=6) for theta in ("odd", "many")]
    others.append(Integrate("n", "sums", "whole", "current", bits=3))
    for node in (own, *others, whole):
        made = Program("p", 1000, (10, 1, 1), 1, (sums, node), "n", tensors)
        ways.append(report_on(made)["layers"][1]["way"])
    assert ways == ["stock", "own", "own", "own", "own"]


def test_the_command_exits_with_1_where_a_limit_is_broken(tmp_path: Path, capsys) -> None:
    out = tmp_path / "report.json"
    assert run_line(["export", "keyword", "--to", "loihi-report", "--out", str(out)]) == 0
    assert "keyword fits the published limits: 5 cores" in capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert kept["fits"] and {row["name"] for row in kept["energy"]} == {
        "loihi1_davies_2018",
        "loihi1_fitted_2025",
    }
    assert run_line(["export", "gesture", "--to", "loihi-report", "--json"]) == 1
    assert "far2: |H| up to 143,410" in json.loads(capsys.readouterr().out)["broken"][0]


def test_onnx_and_its_parity_vector(tmp_path: Path) -> None:
    out = tmp_path / "g.onnx"
    assert run_line(["export", "gesture", "--to", "onnx", "--out", str(out)]) == 0
    bundle = load_bundle("gesture")
    assert out.read_bytes() == bundle.onnx
    parity = np.load(tmp_path / "g.parity.npz")
    assert np.array_equal(parity["y"], bundle.parity["y"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["gesture", "--to", "hdf"], "--to hdf is none"),
        (["gesture", "--to", "onnx"], "needs --out PATH"),
        (["gesture", "--to", "onnx", "--out", "/nowhere/a.onnx"], "there is no folder /nowhere"),
        (["gesture", "--to", "onnx", "--out", "a.sh"], "the name must end in .onnx"),
        (["gesture", "--to", "nir", "--out", "/dev/null"], "the name must end in .nir"),
        (["nose", "--to", "onnx"], "there is no model 'nose'"),
    ],
)
def test_what_cannot_be_exported(typed: list[str], message: str, capsys) -> None:
    assert run_line(["export", *typed]) == 2
    assert message in capsys.readouterr().err


def test_an_export_leaves_bundles_and_devices_alone(tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.json").write_text("{}")
    out = tmp_path / "mine.onnx"
    assert run_line(["export", "gesture", "--to", "onnx", "--out", str(out)]) == 2
    assert "parity vector would be replaced" in capsys.readouterr().err
    (tmp_path / "other.onnx").symlink_to("/dev/full")
    assert (
        run_line(["export", "gesture", "--to", "onnx", "--out", str(tmp_path / "other.onnx")]) == 2
    )
    assert "is no plain file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "other.onnx"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process are POSIX's")
@pytest.mark.parametrize("to", ["onnx", "nir"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, to: str) -> None:
    line = f"ulimit -f 20; exec {sys.executable} -m edgesnn export gesture --to {to} --out g.{to}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
