"""Events as half-block characters: two pixels a character, ON and OFF in two colours.

An empty pixel is not painted, and shades go from the background on: the more events, the further
from it. So the order of polarity and intensity is the same on a dark and on a light terminal, and
with 16 colours.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style

_SHADES = 4
_FAINTEST = 0.35
Palette = Literal["dark", "light", "dark16", "light16"]
"""Of the terminal: its background, and whether it has 16 colours only."""
_FULL = {"dark": ("#ffb454", "#59a8ff"), "light": ("#a04800", "#003c96")}
"""Colours of ON and OFF where most happens, on either background."""
_BACKGROUND = {"dark": 0, "light": 255}
_SIXTEEN = {
    "dark16": (("yellow", "bright_yellow"), ("blue", "bright_blue")),
    "light16": (("bright_yellow", "yellow"), ("bright_blue", "blue")),
}
"""Of 16 colours two for ON and two for OFF, faint and dense."""
_DENSITIES = (0.12, 0.45, 1.2, 3.0)
"""Events per sensor pixel in the display window from which a shade is used."""


def picture_size(frame: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return (columns, rows) of characters for a frame (width, height) in a space of that many.

    Keeps the shape; no pixel is drawn larger than one half character.
    """
    scale = min(width / frame[0], 2 * height / frame[1], 1.0)
    return max(1, int(frame[0] * scale)), max(1, int(frame[1] * scale / 2))


def picture(
    frame: NDArray[np.uint8], columns: int, rows: int, palette: Palette = "dark"
) -> list[list[Segment]]:
    """Draw a frame (2, height, width) of OFF and ON counts as rows of segments."""
    shades = _shaded(_resized(frame, columns, 2 * rows), frame)
    return [_row(shades[2 * i], shades[2 * i + 1], palette) for i in range(rows)]


def colours_picture(
    colours: NDArray[np.uint8], columns: int, rows: int, palette: Palette = "dark"
) -> list[list[Segment]]:
    """Draw colours (h, w, 3), red first, as rows of segments; black is not painted.

    With 16 colours the nearest of six hues is taken.
    """
    at_y = np.arange(2 * rows) * colours.shape[0] // (2 * rows)
    at_x = np.arange(columns) * colours.shape[1] // columns
    picked = colours[at_y][:, at_x]
    named = [[_named(*pixel, palette) for pixel in row] for row in picked.tolist()]
    return [_colour_row(named[2 * i], named[2 * i + 1]) for i in range(rows)]


@cache
def _named(red: int, green: int, blue: int, palette: Palette) -> str:
    """Return a colour's name for a terminal, "" for black."""
    most = max(red, green, blue)
    if most < 20:
        return ""
    if palette not in _SIXTEEN:
        return f"#{red & 0xF8:02x}{green & 0xF8:02x}{blue & 0xF8:02x}"
    bits = (red > most // 2) | (green > most // 2) << 1 | (blue > most // 2) << 2
    name = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")[bits]
    return f"bright_{name}" if (most > 128) == (palette == "dark16") else name


def _colour_row(upper: list[str], lower: list[str]) -> list[Segment]:
    """Pair two rows of colours; neighbours of one look share a segment."""
    segments: list[Segment] = []
    for (above, below), run in groupby(zip(upper, lower, strict=True)):
        count = sum(1 for _ in run)
        if above:
            segments.append(Segment("▀" * count, Style(color=above, bgcolor=below or None)))
        else:
            segments.append(
                Segment("▄" * count, Style(color=below)) if below else Segment(" " * count)
            )
    return segments


def _resized(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    """Sum the counts of the sensor pixels under each picture pixel; (2, height, width)."""
    rows = np.arange(height) * frame.shape[1] // height
    columns = np.arange(width) * frame.shape[2] // width
    sums = np.add.reduceat(frame.astype(np.float64), rows, axis=1)
    return np.asarray(np.add.reduceat(sums, columns, axis=2))


def _shaded(counts: NDArray[np.float64], frame: NDArray[np.uint8]) -> list[list[int]]:
    """Return 0 for an empty pixel, 1 to 4 for ON, -1 to -4 for OFF, whichever is more."""
    area = frame[0].size / counts[0].size
    density = counts.max(axis=0) / area
    shade = np.searchsorted(_DENSITIES, density, side="right")
    shades: list[list[int]] = np.where(counts[1] >= counts[0], shade, -shade).tolist()
    return shades


def _row(upper: list[int], lower: list[int], palette: Palette) -> list[Segment]:
    """Pair two rows of pixels; neighbours of one look share a segment."""
    segments: list[Segment] = []
    start = 0
    pairs = list(zip(upper, lower, strict=True))
    for i in range(1, len(pairs) + 1):
        if i == len(pairs) or pairs[i] != pairs[start]:
            character, style = _look(*pairs[start], palette)
            segments.append(Segment(character * (i - start), style))
            start = i
    return segments


@cache
def _look(upper: int, lower: int, palette: Palette) -> tuple[str, Style | None]:
    if not upper and not lower:
        return " ", None
    if not upper:
        return "▄", Style(color=colour(lower, palette))
    if not lower:
        return "▀", Style(color=colour(upper, palette))
    return "▀", Style(color=colour(upper, palette), bgcolor=colour(lower, palette))


def colour(shade: int, palette: Palette) -> str:
    """Return the colour of a shade: 1 to 4 for ON, -1 to -4 for OFF."""
    off = shade < 0
    if palette in _SIXTEEN:
        return _SIXTEEN[palette][off][abs(shade) > _SHADES // 2]
    full, ground = _FULL[palette][off], _BACKGROUND[palette]
    strength = _FAINTEST + (1 - _FAINTEST) * (abs(shade) - 1) / (_SHADES - 1)
    mixed = [int(ground + strength * (int(full[i : i + 2], 16) - ground)) for i in (1, 3, 5)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def palette_of(
    colours: str | None, background: str | None, brightness: float | None = None
) -> Palette:
    """Return the palette for a terminal: rich's name of its colours, and its COLORFGBG.

    COLORFGBG ("15;0": foreground;background) is what many terminals say of themselves. brightness:
    of its background, 0 to 1, where it answered (`keys.Keys.background`), which goes first. Without
    either the background is taken to be dark.
    """
    last = (background or "").rpartition(";")[2]
    light = last.isdecimal() and (int(last) == 7 or 9 <= int(last) <= 15)
    if brightness is not None:
        light = brightness > 0.5
    if colours == "standard":
        return "light16" if light else "dark16"
    return "light" if light else "dark"
