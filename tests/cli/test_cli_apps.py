"""`edgesnn run` and `eval` of words and digits, as typed: what comes out, and wrong input."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from edgesnn.app import load_app, sample_path
from edgesnn.cli.main import run_line

WORDS = sample_path(load_app("keyword"))
DIGITS = sample_path(load_app("digits"))
GESTURE = sample_path(load_app("gesture"))
Line = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Line:
    """Run one line; return exit code, JSON lines, stderr."""

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = run_line(arguments)
        told = capsys.readouterr()
        return code, [json.loads(text) for text in told.out.splitlines()], told.err

    return run


def words(lines: list[dict[str, Any]]) -> list[str]:
    return [told["label"] for told in lines[:-1] if told["index"] >= 0]


def test_words_are_told_with_their_time(line: Line) -> None:
    code, lines, err = line("run", "keyword", "--json", "--speed", "max")
    assert code == 0 and "bundled recording sample_keyword.flac" in err
    assert words(lines) == "three one four one five nine two six".split()
    times = [told["t_us"] for told in lines[:-1]]
    assert times == sorted(times) and times[-1] < 8_000_000
    assert lines[-1]["dropped"] == lines[-1]["late"] == 0 and lines[-1]["notes"] == []
    assert "exit_step" not in lines[0]


def test_a_margin_tells_words_sooner_and_rests(line: Line) -> None:
    base = ("run", "keyword", "--json", "--speed", "max", "--file", str(WORDS))
    _, full, _ = line(*base)
    _, early, _ = line(*base, "--exit", "margin:0.5")
    assert early[-1]["steps_rested"] > full[-1]["steps_rested"]
    first = [next(t["t_us"] for t in lines if t["index"] >= 0) for lines in (early, full)]
    assert first[0] < first[1]


def test_a_pipe_says_the_same_as_the_file(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, rate_hz = soundfile.read(WORDS, dtype="int16")
    pipe = SimpleNamespace(buffer=io.BytesIO(samples.astype("<i2").tobytes()))
    _, wanted, _ = line("run", "keyword", "--json", "--speed", "max", "--file", str(WORDS))
    monkeypatch.setattr(sys, "stdin", pipe)
    code, lines, _ = line("run", "keyword", "--json", "--stdin", "--rate", str(rate_hz))
    assert code == 0 and lines[-1]["source"] == "stdin:pcm"
    assert words(lines) == words(wanted) and len(words(lines)) == 8


def test_silence_and_clipping_are_told(line: Line, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 8000)
    code, lines, _ = line(
        "run", "keyword", "--json", "--speed", "max", "--file", str(tmp_path / "silence.wav")
    )
    assert code == 0 and words(lines) == [] and lines[-1]["events"] == 0
    assert lines[-1]["steps"] >= 185
    loud = np.clip(20 * soundfile.read(WORDS)[0], -1, 1)
    soundfile.write(tmp_path / "loud.wav", loud, 8000)
    _, lines, _ = line(
        "run", "keyword", "--json", "--speed", "max", "--file", str(tmp_path / "loud.wav")
    )
    assert any("clip" in note for note in lines[-1]["notes"])


def test_pictures_are_answered_before_the_window_is_over(line: Line) -> None:
    code, lines, _ = line("run", "digits", "--json", "--speed", "max")
    assert code == 0
    answers = lines[:-1]
    assert len(answers) > 10 and all(told["window_steps"] == 6 for told in answers)
    assert np.mean([told["exit_step"] for told in answers]) < 0.7 * 6
    assert lines[-1]["steps_rested"] > lines[-1]["steps"] / 2
    _, full, _ = line("run", "digits", "--json", "--speed", "max", "--exit", "never")
    assert [t["label"] for t in full[:-1]] == [t["label"] for t in answers]
    assert all(t["exit_step"] == t["window_steps"] for t in full[:-1])


def test_recordings_of_a_dvs_are_answered_once_each(line: Line) -> None:
    """Five digits, each 0.3 s and a little more; the little is no digit of its own."""
    code, lines, err = line("run", "digits", "--model", "nmnist", "--json", "--speed", "max")
    assert code == 0 and "bundled recording sample_nmnist.bs2" in err
    assert words(lines) == ["5", "1", "9", "4", "0"]
    _, full, _ = line("run", "digits", "--model", "nmnist", "--json", "--exit", "never")
    assert words(full) == words(lines)


def test_clothes_have_names_and_the_exact_exit_changes_none(line: Line) -> None:
    base = ("run", "digits", "--model", "fashion", "--json", "--speed", "max")
    code, lines, err = line(*base)
    assert code == 0 and "bundled recording sample_clothes.idx3-ubyte.gz" in err
    _, full, _ = line(*base, "--exit", "never")
    assert words(lines) == words(full) and len(words(lines)) == 20
    classes = "t-shirt,trousers,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot".split(",")
    assert sum(a == b for a, b in zip(words(lines), classes * 2, strict=True)) >= 16


@pytest.mark.parametrize("kind", ["aedat4", "npz"])
@pytest.mark.parametrize(("app", "model"), [("keyword", "keyword"), ("digits", "mnist")])
def test_a_recording_of_events_says_the_same(
    line: Line, tmp_path: Path, app: str, model: str, kind: str
) -> None:
    base, kept = ("run", app, "--model", model, "--json", "--speed", "max"), tmp_path / f"k.{kind}"
    _, wanted, _ = line(*base, "--record", str(kept))
    code, lines, _ = line(*base, "--file", str(kept))
    assert code == 0 and lines[-1]["events"] == wanted[-1]["events"]
    assert words(lines) == words(wanted) and len(words(lines)) > 5
    first, same = ([(t["t_us"], t["label"]) for t in told[:5]] for told in (lines, wanted))
    assert first == same


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["keyword", "--file", str(GESTURE)], "takes sound, and sample_gesture.bs2 is none"),
        (["gesture", "--model", "keyword"], "takes sound, and sample_gesture.bs2 is none"),
        (["keyword", "--model", "mnist"], "is sound and the model mnist takes none"),
        (["digits", "--model", "gesture"], "is a picture and the model gesture takes none"),
        (
            ["digits", "--model", "mnist", "--file", str(GESTURE)],
            "takes pictures, and sample_gesture.bs2 is none; .* --model nmnist",
        ),
        (["digits", "--file", str(WORDS)], "sample_keyword.flac is sound"),
        (["keyword", "--sensor", "3x3"], "--sensor is for recordings of events"),
        (["keyword", "--camera"], "keyword takes no --camera; it takes --mic"),
        (["digits", "--mic"], "digits takes no --mic"),
        (["keyword", "--exit", "exact"], "--exit exact needs a trial with an end"),
        (["keyword", "--exit", "margin:2"], "--exit margin:2 is no exit rule"),
        (["keyword", "--rate", "8000"], "--rate is for --stdin"),
        (["keyword", "--stdin", "--loop"], "--loop is for recordings"),
        (["gesture", "--demo", "--model", "keyword"], "takes sound, and --demo is none"),
        (["digits", "--file", "nowhere.png"], "there is no file nowhere.png"),
    ],
)
def test_wrong_lines_are_one_sentence(line: Line, arguments: list[str], told: str) -> None:
    live = {"--stdin", "--demo", "--mic", "--camera"} & set(arguments)
    code, lines, err = line("run", *arguments, "--json", *([] if live else ["--speed", "max"]))
    assert (code, lines) == (2, [])
    assert re.search(told, " ".join(err.split()))


def test_labelled_words_are_counted(line: Line, tmp_path: Path) -> None:
    samples, rate_hz = soundfile.read(WORDS)
    soundfile.write(tmp_path / "3_ada_0.wav", samples[: int(1.05 * rate_hz)], rate_hz)
    soundfile.write(tmp_path / "4_ada_1.wav", samples[: int(1.05 * rate_hz)], rate_hz)
    code, (report,), _ = line("eval", "keyword", "--data", str(tmp_path), "--json")
    assert code == 0 and (report["n"], report["correct"]) == (2, 1)
    assert report["confusion"][3][3] == report["confusion"][4][3] == 1
    assert report["per_speaker"] == {"ada": 0.5} and report["spotted"] == 0.5
    assert report["exit"] is None
    early = line("eval", "keyword", "--data", str(tmp_path), "--json", "--exit", "margin:0.5")[1][0]
    assert early["exit"]["rule"] == "margin:0.5" and 0 < early["exit"]["steps_saved"] < 1
    assert early["accuracy"] == report["accuracy"]
    assert early["told_after_end_s"] < report["told_after_end_s"]
    _, (one,), _ = line("eval", "keyword", "--data", str(tmp_path), "--json", "--takes", "0-0")
    assert one["n"] == 1 and math.isclose(one["accuracy"], 1.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--takes", "9-5"], "--takes 9-5 is no range"),
        (["--takes", "7"], "holds no recording numbered 7 to 7"),
        (["--carry-state"], "No such option: --carry-state"),
    ],
)
def test_wrong_evaluations_are_one_sentence(
    line: Line, tmp_path: Path, arguments: list[str], told: str
) -> None:
    soundfile.write(tmp_path / "3_ada_0.wav", np.zeros(800), 8000)
    code, _, err = line("eval", "keyword", "--data", str(tmp_path), *arguments)
    assert code == 2 and told in " ".join(err.split())


@pytest.mark.parametrize("speed", ["max", "3"])
def test_an_npz_plays_back_to_the_last_word_at_the_same_time(
    line: Line, tmp_path: Path, speed: str
) -> None:
    """The silence at its end is kept: the last word is told when it was told."""
    kept = tmp_path / "k.npz"
    _, wanted, _ = line("run", "keyword", "--json", "--speed", "max", "--record", str(kept))
    _, lines, _ = line("run", "keyword", "--json", "--speed", speed, "--file", str(kept))
    first, same = ([(t["t_us"], t["label"]) for t in told[:-1]] for told in (lines, wanted))
    assert first == same and len(first) > 8
