"""The terminal view as a pure function: a snapshot and a size in, lines of characters out.

    header     source, model, backend, step
    picture  | decision and confidence, classes as bars, event rate, latency, losses
    footer     how to end

Small terminals lose the picture first, then the classes, then everything but the decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from edgesnn.decide.decision import NOTHING, Decision
from edgesnn.sinks.looks import MARK, THEMES
from edgesnn.sinks.motion_picture import MAX_SPEED, field_picture, motion_text, wheel
from edgesnn.sinks.picture import Palette, colour, colours_picture, picture, picture_size
from edgesnn.stream.sink import RunInfo, Snapshot

PANE = 36
"""Columns that the text beside the picture needs."""
_LEAST_PICTURE = 16  # columns; a smaller one shows nothing
_TRACK, _MARK = "─", "│"
_SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"


Line = list[Segment]


def screen(
    info: RunInfo,
    snapshot: Snapshot | None,
    recent: Sequence[Decision],
    console: Console,
    size: tuple[int, int],
    palette: Palette = "dark",
    state: str = "",
    max_speed: float = MAX_SPEED,
) -> Iterator[Line]:
    """Draw a run: at most as many lines as size (columns, rows) has, none wider than it.

    recent: decisions, oldest first. console: renders the text; nothing is written to it. palette:
    of the terminal. state: "help" shows the keys in the picture's place, "paused" is said below,
    "dense" shows motion where nothing was seen too. max_speed: px/s that are brightest.
    """
    width, height = size

    def line(text: Text, columns: int = width) -> Line:
        with console.use_theme(THEMES[palette]):
            return console.render_lines(text, console.options.update(width=max(1, columns)))[0]

    if snapshot is not None and height < 4:
        yield line(decision_line(snapshot))
        return
    yield line(header(info, width))
    yield []
    if snapshot is None:
        yield line(Text(" waiting for events", "dim"))
        return
    if state == "help":
        yield from (line(text) for text in help_lines(info, palette)[: height - 2])
        return
    drawn = _drawn(snapshot, width, height - 3, palette, max_speed, state == "dense")
    left = 2 + sum(segment.cell_length for segment in drawn[0]) if drawn else 0
    beside = width - left - 2
    texts = pane(snapshot, recent, beside - 1, height - 3, info.threshold)
    legend: list[Line] = []
    if snapshot.field is not None:
        texts, legend = motion_pane(snapshot, beside - 1, height - 3, palette, max_speed)
    blank = Segment(" " * left)
    for i in range(height - 3):
        start = [Segment("  "), *drawn[i]] if i < len(drawn) else [blank]
        said = line(texts[i], beside) if i < len(texts) else []
        if len(texts) <= i < len(texts) + len(legend):
            said = legend[i - len(texts)]
        yield [*start, Segment("  "), *said]
    yield line(footer(snapshot, palette, state))


def _drawn(
    snapshot: Snapshot, width: int, height: int, palette: Palette, max_speed: float, dense: bool
) -> list[Line]:
    _, rows, columns = snapshot.frame.shape
    size = picture_size((columns, rows), width - PANE - 4, height)
    if snapshot.field is not None and size[0] >= _LEAST_PICTURE:
        colours = field_picture(snapshot.field, max_speed, dense=dense)
        return colours_picture(colours, *size, palette)
    return picture(snapshot.frame, *size, palette) if size[0] >= _LEAST_PICTURE else []


def header(info: RunInfo, width: int) -> Text:
    """Say what runs on what."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" edgesnn {info.model} ", "title")
    text.append(f"  {info.source}", "bold")
    text.append(f"  {info.size[0]}x{info.size[1]}  {info.backend}", "dim")
    text.append(f"  {info.step_us / 1e3:g} ms steps", "dim")
    return text


def footer(snapshot: Snapshot, palette: Palette, state: str) -> Text:
    """Say how far the run is, what the colours are, and which keys there are."""
    text = Text(no_wrap=True, overflow="ellipsis", style="dim")
    text.append(f" {snapshot.steps:,} steps  {_count(snapshot.events)} events  ")
    if snapshot.field is None:
        text.append("■", f"not dim {colour(4, palette)}").append(" ON ")
        text.append("■", f"not dim {colour(-4, palette)}").append(" OFF  ")
    if state == "paused":
        text.append("the view is paused: space goes on", "trouble")
        return text
    dense = "d dense  " if snapshot.field is not None else ""
    return text.append(f"q or Ctrl-C ends  space pauses  {dense}? help")


def help_lines(info: RunInfo, palette: Palette) -> list[Text]:
    """Say what is seen and which keys there are."""
    threshold = "" if info.threshold is None else f" (the mark: {100 * info.threshold:.0f} %)"
    rows = [
        ("q, Ctrl-C", "end the run; the summary stays"),
        ("space", "hold the view still; the run goes on"),
        ("?", "this page, and back"),
        ("d", "of motion: where nothing was seen too, and back"),
        ("", ""),
        ("picture", "the last 40 ms of events; of sound its bands, newest at the right"),
        ("motion", "its colour says where to, its brightness how fast (the wheel)"),
        ("bars", f"how likely each class is; what is decided needs enough{threshold}"),
        ("latency", "from the arrival of a step's last event to its decision"),
        ("late steps", "took longer than a step lasts"),
        ("dropped", "events lost because the network fell behind"),
    ]
    lines = [Text(f"  {name:<12}{meaning}", no_wrap=True) for name, meaning in rows]
    legend = Text("  colours     ", no_wrap=True)
    legend.append("■", colour(4, palette)).append(" ON: brighter  ")
    legend.append("■", colour(-4, palette)).append(" OFF: darker; stronger means more events")
    return [*lines, legend]


def decision_line(snapshot: Snapshot) -> Text:
    """The answer, in one line."""
    decision = snapshot.decision
    text = Text(no_wrap=True, overflow="ellipsis")
    if decision.index == NOTHING:
        return text.append(decision.label, "dim")
    confidence = float(snapshot.probabilities[decision.index])
    text.append(decision.label, "answer")
    text.append(f"  {100 * confidence:.0f} %")
    if decision.window_steps:
        text.append(f"  sure at step {decision.exit_step} of {decision.window_steps}", "dim")
    return text


def pane(
    snapshot: Snapshot,
    recent: Sequence[Decision],
    width: int,
    height: int,
    threshold: float | None = None,
) -> list[Text]:
    """The text beside the picture, in as many lines as there are: the important ones first."""
    numbers = _numbers(snapshot, width)
    room = height - len(numbers) - 3
    lines = [
        decision_line(snapshot),
        _bar(_confidence(snapshot), width, "accent", threshold),
        Text(),
    ]
    if room >= 2:
        classes = _classes(snapshot, width, min(room - 1, 5 if height < 24 else 11), threshold)
        lines += [*classes, Text()]
        room -= len(classes) + 1
    lines += numbers
    if room >= 3:
        lines += [Text(), *_history(recent, min(room - 1, 6))]
    return lines[:height]


def motion_pane(
    snapshot: Snapshot, width: int, height: int, palette: Palette, max_speed: float
) -> tuple[list[Text], list[Line]]:
    """Return the text beside a field of motion, and below it the wheel, where there is room."""
    assert snapshot.field is not None
    motion = snapshot.field.motion
    whole = Text(motion_text(motion), "bold", no_wrap=True, overflow="ellipsis")
    lines = [
        decision_line(snapshot),
        whole,
        _bar(motion.confidence, width, "accent"),
        Text("how much of what is seen moves so", "dim", no_wrap=True, overflow="ellipsis"),
        Text(),
        *_numbers(snapshot, width),
    ]
    rows = min(5, height - len(lines) - 2)
    if rows < 3:
        return lines[:height], []
    lines += [Text(), Text(f"colour: where to; full at {max_speed:g} px/s", "dim", no_wrap=True)]
    return lines, colours_picture(wheel(2 * rows), 2 * rows, rows, palette)


def _confidence(snapshot: Snapshot) -> float:
    index = snapshot.decision.index
    return 0.0 if index == NOTHING else float(snapshot.probabilities[index])


def _classes(snapshot: Snapshot, width: int, count: int, threshold: float | None) -> list[Text]:
    """The likeliest classes, always in the order of the network: the eye can follow one."""
    likeliest = snapshot.probabilities.argsort(kind="stable")[::-1][:count]
    order = sorted(likeliest.tolist())
    name_width = min(max(len(label) for label in snapshot.labels), max(8, width - 14))
    lines = []
    for index in order:
        share = float(snapshot.probabilities[index])
        held = index == snapshot.decision.index
        line = Text(no_wrap=True)
        name = Text(snapshot.labels[index], "bold" if held else "")
        name.truncate(name_width, overflow="ellipsis", pad=True)
        line.append_text(name).append(" ")
        bar_width = width - name_width - 6
        line.append_text(_bar(share, bar_width, "accent" if held else "rest", threshold))
        lines.append(line.append(f" {100 * share:3.0f}%", "" if held else "dim"))
    return lines


def _numbers(snapshot: Snapshot, width: int) -> list[Text]:
    latency = snapshot.latency_us
    rate = Text("events  ", "dim", no_wrap=True)
    value = f"{_count(snapshot.event_rate_hz)}/s"
    rate.append(f"{value:>8} ", "bold not dim")
    rate.append(_sparkline(snapshot.rates_hz, width - len(rate)), "rate")
    speed = Text("latency ", "dim", no_wrap=True)
    speed.append(_milliseconds(latency.p50), "bold not dim").append(" p50  ")
    speed.append(_milliseconds(latency.p99), "bold not dim").append(" p99")
    late = Text("late    ", "dim", no_wrap=True)
    late.append_text(_fault(snapshot.steps_late)).append(" steps")
    dropped = Text("dropped ", "dim", no_wrap=True)
    dropped.append_text(_fault(snapshot.dropped)).append(" events")
    return [rate, speed, late, dropped]


def _fault(number: int) -> Text:
    return Text(_count(number), "trouble" if number else "bold not dim")


def _history(recent: Sequence[Decision], count: int) -> list[Text]:
    lines = []
    for decision in reversed(recent[-count:]):
        line = Text(no_wrap=True, overflow="ellipsis", style="dim")
        sure = f" at {decision.exit_step}/{decision.window_steps}" if decision.window_steps else ""
        lines.append(line.append(f"{decision.t_us / 1e6:7.2f} s {decision.label}{sure}"))
    return lines


def _bar(share: float, width: int, look: str, threshold: float | None = None) -> Text:
    """Draw a bar on a track that is visible on any background; a mark where it decides.

    look: its name in `looks.py`.
    """
    width = max(0, width)
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    bar = Text(drawn, look, no_wrap=True)
    bar.append(_TRACK * (width - len(drawn)), "dim")
    if threshold is not None and 0 < threshold < 1 and width:
        at = min(width - 1, int(threshold * width))
        mark = Text(_MARK, "bold" if at >= full else look + MARK)
        bar = bar[:at] + mark + bar[at + 1 :]
    return bar


def _sparkline(rates: Sequence[float], width: int) -> str:
    shown = list(rates[-width:]) if width > 0 else []
    top = max(shown, default=0.0) or 1.0
    return "".join(_SPARKS[min(7, int(8 * rate / top))] for rate in shown)


def _milliseconds(latency_us: float) -> str:
    return f"{latency_us / 1e3:.2f} ms"


def _count(number: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:.0f}"
