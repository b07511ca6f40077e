"""What `edgesnn devices` prints."""

from __future__ import annotations

from edgesnn.app import apps_taking


def show_devices() -> None:
    """List cameras and microphones, each with the line that runs it, and then who computes."""
    from edgesnn.sources import devices

    found = devices.list_devices()
    for device in found:
        option = device.option.partition(" ")[0]
        use = f": edgesnn run {_an_app(option)} {device.option}" if option else ""
        print(f"{device.model}{use}")
    kinds = {device.kind for device in found}
    if not kinds & {"camera", "webcam"}:
        print(f"no camera found; edgesnn run {_an_app('--demo')} --demo needs none")
    if "microphone" not in kinds:
        print(f"no microphone found; edgesnn run {_an_app('--mic')} --file PATH needs none")
    print(_who_computes())
    if told := _loihi():
        print(told)


def _who_computes() -> str:
    """Say which backend `--backend auto` takes here."""
    from edgesnn.hardware.events_library import library_path

    if library_path() is not None:
        return "networks run on the event-driven engine (--backend events)"
    return (
        "networks run on ONNX Runtime (--backend onnx_cpu); the event-driven engine was not built: "
        "it needs a C compiler when edgesnn is installed"
    )


def _loihi() -> str:
    """Say that Lava's simulator is there, and whether boards might be; nothing without Lava."""
    from edgesnn.hardware.loihi.installed import VERSION, boards, installed_version

    found = installed_version()
    if found is None:
        return ""
    if found != VERSION:
        return f"Lava {found} is installed; --backend loihi wants {VERSION}"
    more = "; Intel's extension for boards is there too, which was never tried" if boards() else ""
    return f"Lava {found}'s fixed-point simulator of Loihi 2 (--backend loihi){more}"


def _an_app(option: str) -> str:
    """Return the first app that takes a source, APP where none does."""
    return next(iter(apps_taking(option)), "APP")
