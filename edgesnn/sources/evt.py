"""What Prophesee's sensors send, word by word: EVT 2.0, EVT 2.1 and EVT 3.0.

Layouts: Prophesee, "Data Encoding Formats". The four highest bits of a word say what it is. The
time comes in two parts of which the high one has words of its own; it begins anew after 2^34 us
(EVT 2) or 2^24 us (EVT 3, every 17 s), which a fall by more than half of that tells.

    EVT 2.0   32 bits   kind 4, low time 6, x 11, y 11                          kind 0 OFF, 1 ON
    EVT 2.1   64 bits   kind 4, low time 6, x 11, y 11, one bit for each of 32 pixels from x on
    EVT 3.0   16 bits   kind 4, 12 bits of one thing: the row, an event's column and polarity, where
              a row of 12, 12 and 8 bits of pixels begins, those bits, the time low or high
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesnn.events import Events, empty_events, events_from_arrays

Ints = NDArray[np.int64]
Words = NDArray[np.unsignedinteger[Any]]
_TIME_HIGH = 8
_KINDS = (0, 1, _TIME_HIGH, 10, 14, 15)
"""Of EVT 2: OFF and ON events, times, triggers, others and words that go on."""


class Decoder(Protocol):
    """Decodes a stream of words that is cut into blocks anywhere.

    word: dtype of a word as it lies in the file. count, unknown: words so far, and those of no kind
    that the format has. early: events that came before the first time or place, and are left out.
    clock_us: the newest time, None before the first.
    """

    word: np.dtype[Any]
    count: int
    unknown: int
    early: int

    @property
    def clock_us(self) -> int | None:
        """The newest time that was told."""
        ...

    def decode(self, words: Words) -> Events:
        """Return the events of the next words."""
        ...


class _Held:
    """The newest value of a kind of word, at every word; None before the first."""

    def __init__(self) -> None:
        self.value: int | None = None

    def at_words(self, new: NDArray[np.bool_], values: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the value at each word, and where there is one. values: of the new ones alone."""
        newest = np.cumsum(new)
        before = 0 if self.value is None else self.value
        held = np.concatenate([[before], values])[newest]
        known = newest > 0 if self.value is None else np.ones(len(new), bool)
        if len(values):
            self.value = int(values[-1])
        return held, known


class _High:
    """The high part of the time, which begins anew after 2**bits."""

    def __init__(self, bits: int) -> None:
        self._turn, self._last, self._added = 1 << bits, 0, 0
        self._held = _Held()

    @property
    def value(self) -> int | None:
        """The newest, all turns added."""
        return self._held.value

    def at_words(self, new: NDArray[np.bool_], values: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return it at each word, all turns added, and where it is known."""
        if len(values):
            fell = np.diff(values, prepend=self._last) < -(self._turn // 2)
            added = self._added + self._turn * np.cumsum(fell)
            self._last, self._added = int(values[-1]), int(added[-1])
            values = values + added
        return self._held.at_words(new, values)


class Evt2:
    """EVT 2.0."""

    word: np.dtype[Any] = np.dtype("<u4")

    def __init__(self) -> None:
        self.count = self.unknown = self.early = 0
        self._high = _High(28)

    @property
    def clock_us(self) -> int | None:
        """The newest time that was told."""
        return None if self._high.value is None else self._high.value << 6

    def decode(self, words: Words) -> Events:
        """Return the events of the next words."""
        kind = words >> 28
        self.count += len(words)
        self.unknown += int(np.count_nonzero(~np.isin(kind, _KINDS)))
        new = kind == _TIME_HIGH
        high, known = self._high.at_words(new, (words[new] & 0xFFF_FFFF).astype(np.int64))
        is_event = kind < 2
        self.early += int(np.count_nonzero(is_event & ~known))
        at = np.flatnonzero(is_event & known)
        event = words[at]
        t = (high[at] << 6) | ((event >> 22) & 63)
        return events_from_arrays(t, (event >> 11) & 0x7FF, event & 0x7FF, event >> 28)


class Evt21(Evt2):
    """EVT 2.1. swapped: the two halves of a word come high one first, as the IMX636 sends them."""

    word = np.dtype("<u8")

    def __init__(self, swapped: bool = False) -> None:
        super().__init__()
        self._swapped = swapped

    def decode(self, words: Words) -> Events:
        """Return the events of the next words."""
        low, high_half = words & 0xFFFF_FFFF, words >> 32
        if self._swapped:
            low, high_half = high_half, low
        kind = high_half >> 28
        self.count += len(words)
        self.unknown += int(np.count_nonzero(~np.isin(kind, _KINDS)))
        new = kind == _TIME_HIGH
        high, known = self._high.at_words(new, (high_half[new] & 0xFFF_FFFF).astype(np.int64))
        is_event = kind < 2
        pixels = _bits(low, 32)
        self.early += int(np.count_nonzero(pixels[is_event & ~known]))
        pixels[~(is_event & known)] = False
        at, pixel = np.nonzero(pixels)
        event = high_half[at].astype(np.int64)
        t = (high[at] << 6) | ((event >> 22) & 63)
        return events_from_arrays(t, ((event >> 11) & 0x7FF) + pixel, event & 0x7FF, event >> 28)


_ROW, _COLUMN, _BASE, _TWELVE, _EIGHT, _TIME_LOW = 0, 2, 3, 4, 5, 6


class Evt3:
    """EVT 3.0. A time whose low part steps back is taken as it is: sensors send such steps."""

    word = np.dtype("<u2")

    def __init__(self) -> None:
        self.count = self.unknown = self.early = 0
        self._high, self._low, self._row, self._base = _High(12), _Held(), _Held(), _Held()
        self._passed = 0
        """Pixels of all vectors so far: where one begins is told from the last base on."""

    @property
    def clock_us(self) -> int | None:
        """The newest time that was told."""
        return None if self._high.value is None else self._high.value << 12 | (self._low.value or 0)

    def decode(self, words: Words) -> Events:
        """Return the events of the next words."""
        if not len(words):
            return empty_events()
        kind, said = words >> 12, (words & 0xFFF).astype(np.int64)
        self.count += len(words)
        self.unknown += int(np.count_nonzero(np.isin(kind, (1, 9, 11, 12, 13))))
        new = kind == _TIME_HIGH
        high, known = self._high.at_words(new, said[new])
        new = kind == _TIME_LOW
        low, known_low = self._low.at_words(new, said[new])
        new = kind == _ROW
        row, known_row = self._row.at_words(new, said[new] & 0x7FF)
        known = known & known_low & known_row
        wide = np.where(kind == _TWELVE, 12, np.where(kind == _EIGHT, 8, 0))
        passed = self._passed + np.cumsum(wide) - wide
        self._passed = int(passed[-1] + wide[-1])
        new = kind == _BASE
        # Column and polarity of the base in its low bits, what had passed then above them.
        base, known_base = self._base.at_words(new, said[new] | passed[new] << 12)
        pixels = _bits(np.where(wide > 0, said & ((1 << wide) - 1), kind == _COLUMN), 12)
        known = known & (known_base | (wide == 0))
        self.early += int(np.count_nonzero(pixels[~known]))
        pixels[~known] = False
        at, pixel = np.nonzero(pixels)
        vector = wide[at] > 0
        place = np.where(vector, base[at] & 0xFFF, said[at])
        x = (place & 0x7FF) + np.where(vector, passed[at] - (base[at] >> 12) + pixel, 0)
        return events_from_arrays(high[at] << 12 | low[at], x, row[at], place >> 11)


def _bits(values: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Return the lowest bits of each value, the lowest first: bool (n, count)."""
    four_bytes = values.astype("<u4").view(np.uint8).reshape(-1, 4)
    return np.unpackbits(four_bytes, axis=1, count=count, bitorder="little").astype(bool)
