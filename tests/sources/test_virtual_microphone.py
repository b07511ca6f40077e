"""The real way of a sound: PulseAudio plays a recording, `edgesnn run keyword --mic` hears it.

A sound server of the test's own, with a null sink whose monitor is the microphone; PortAudio
reaches it through ALSA's pulse plugin. Needs the Debian packages pulseaudio, pulseaudio-utils,
libasound2-plugins and libportaudio2; skips where they are missing or the server does not start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from edgesnn.app import load_app, sample_path

ALSA = Path("/usr/share/alsa/alsa.conf")
FROM_ALSA = "<{alsa}>\npcm.!default {{ type pulse }}\nctl.!default {{ type pulse }}\n"
HEARD = "import sounddevice as s; print([d['name'] for d in s.query_devices()])"


@pytest.fixture(scope="module")
def virtual_microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment variables of programs that have a microphone which hears what is played."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt install pulseaudio pulseaudio-utils)")
    folder = tmp_path_factory.mktemp("sound")
    (folder / "asound.conf").write_text(FROM_ALSA.format(alsa=ALSA))
    socket = folder / "pulse.sock"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_STATE_PATH": str(folder),
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
    }
    modules = [
        f"module-native-protocol-unix socket={socket} auth-anonymous=1",
        "module-null-sink sink_name=speaker rate=48000",
    ]
    options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
    loads = [word for module in modules for word in ("-L", module)]
    server = subprocess.Popen(
        ["pulseaudio", *options, "--disable-shm=yes", *loads],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment["PULSE_SERVER"] = f"unix:{socket}"
    try:
        chosen = ["pactl", "set-default-source", "speaker.monitor"]
        for _ in range(50):
            if subprocess.run(chosen, env=environment, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.skip("PulseAudio does not start here")
        found = subprocess.run(
            [sys.executable, "-c", HEARD], env=environment, capture_output=True, text=True
        )
        if "default" not in found.stdout:
            pytest.skip(f"PortAudio sees no microphone here: {found.stdout}{found.stderr[-200:]}")
        yield environment
    finally:
        server.terminate()
        server.wait(10)


def edgesnn(*words: str) -> list[str]:
    return [sys.executable, "-m", "edgesnn", *words]


def test_a_played_digit_is_heard(virtual_microphone: dict[str, str], tmp_path: Path) -> None:
    """The first word of the sample is "three", after 0.4 s of silence."""
    sound, rate_hz = soundfile.read(sample_path(load_app("keyword")), frames=7200)
    soundfile.write(tmp_path / "three.wav", sound, rate_hz, subtype="PCM_16")
    running = subprocess.Popen(
        edgesnn("run", "keyword", "--mic", "--json", "--duration", "6"),
        env=virtual_microphone,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3.0)
    subprocess.run(["paplay", str(tmp_path / "three.wav")], env=virtual_microphone, check=True)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    words = [line["label"] for line in told if line["type"] == "decision" and line["index"] >= 0]
    assert words == ["three"]
    summary = told[-1]
    assert summary["source"] == "mic:default" and summary["dropped"] == 0
    assert summary["events"] > 300 and summary["steps"] > 300


def test_devices_lists_it_with_its_level(virtual_microphone: dict[str, str]) -> None:
    listed = subprocess.run(
        edgesnn("devices"), env=virtual_microphone, capture_output=True, text=True, check=True
    ).stdout
    assert "default (level -100 dB): edgesnn run keyword --mic " in listed
