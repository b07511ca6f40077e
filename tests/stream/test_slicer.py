from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.events import EVENT, Events, Packet, empty_events, events_from_arrays
from edgesnn.stream.slicer import Slicer, Step


def numbered(times: list[int], first: int = 0) -> Events:
    """Events at these times; x is the number of the event, to tell them apart."""
    n = len(times)
    return events_from_arrays(
        np.array(times, np.int64), np.arange(first, first + n), [0] * n, [1] * n
    )


def packet(
    times: list[int], watermark: int | None = None, arrival: int = 0, first: int = 0
) -> Packet:
    events = numbered(times, first) if times else empty_events()
    return Packet(events, times[-1] if watermark is None else watermark, arrival)


def told(steps: list[Step]) -> list[tuple[int, int, list[int]]]:
    return [(s.start_us, s.end_us, s.events["x"].tolist()) for s in steps]


def test_steps_start_at_the_first_event_and_close_when_a_later_one_comes():
    slicer = Slicer(10)
    assert slicer.feed(packet([103, 104, 112])) == []
    assert told(slicer.feed(packet([113, 139], first=3))) == [
        (103, 113, [0, 1, 2]),
        (113, 123, [3]),
        (123, 133, []),
    ]
    assert told(slicer.flush()) == [(133, 143, [4])]
    assert slicer.flush() == []


def test_a_watermark_closes_steps_in_silence_exactly_at_their_end():
    slicer = Slicer(10)
    assert slicer.feed(packet([5], watermark=14)) == []
    assert told(slicer.feed(packet([], watermark=15))) == [(5, 15, [0])]
    assert told(slicer.feed(packet([], watermark=36))) == [(15, 25, []), (25, 35, [])]
    assert slicer.flush() == []


def test_a_silent_start_steps_from_its_watermark_and_the_first_event_lays_the_grid():
    slicer = Slicer(10)
    assert slicer.feed(packet([], watermark=3)) == []
    assert told(slicer.feed(packet([], watermark=24))) == [(3, 13, []), (13, 23, [])]
    assert slicer.feed(packet([27])) == []  # inside the third silent step, which is cut short
    assert told(slicer.feed(packet([], watermark=37))) == [(27, 37, [0])]


def test_late_events_are_counted_and_not_used():
    slicer = Slicer(10)
    assert told(slicer.feed(packet([0, 25, 19, 21, 5, 26]))) == [(0, 10, [0]), (10, 20, [])]
    assert slicer.late == 2
    assert told(slicer.feed(packet([19, 20, 30], first=6))) == [(20, 30, [1, 3, 5, 7])]
    assert slicer.late == 3


def test_events_before_a_silent_start_are_late():
    slicer = Slicer(10)
    slicer.feed(packet([], watermark=100))
    slicer.feed(packet([98, 99]))
    assert (slicer.late, slicer.flush()) == (2, [])
    slicer.feed(packet([99, 103]))
    assert told(slicer.flush()) == [(103, 113, [1])]
    assert slicer.late == 3


def test_a_jump_back_goes_on_at_the_next_step():
    slicer = Slicer(10, reset_us=100)
    steps = slicer.feed(packet([1000, 1013, 899, 900, 912]))  # 899: exactly 114 behind
    assert told(steps) == [(1000, 1010, [0]), (1010, 1020, [1]), (1020, 1030, [2, 3])]
    assert told(slicer.feed(packet([], watermark=920))) == [(1030, 1040, [4])]
    assert (slicer.jumps_back, slicer.late) == (1, 0)
    assert steps[2].events["t"].tolist() == [1020, 1021]


@pytest.mark.parametrize("back, jumps, late", [(100, 0, 1), (101, 1, 0)])
def test_only_more_than_reset_us_is_a_jump(back, jumps, late):
    slicer = Slicer(10, reset_us=100)
    slicer.feed(packet([1000, 1000 - back]))
    assert (slicer.jumps_back, slicer.late) == (jumps, late)


def test_a_sensor_that_restarts_in_the_dark_is_noticed_by_its_watermark():
    slicer = Slicer(10, reset_us=100)
    slicer.feed(packet([1000]))
    assert told(slicer.feed(packet([], watermark=7))) == [(1000, 1010, [0])]
    assert told(slicer.feed(packet([], watermark=17))) == [(1010, 1020, [])]
    assert slicer.jumps_back == 1


def test_the_watermark_of_the_former_life_is_not_believed():
    slicer = Slicer(10, reset_us=100)
    slicer.feed(packet([1000]))
    assert len(slicer.feed(packet([7, 8], watermark=1000))) == 1
    assert slicer.feed(packet([9], watermark=9)) == []
    assert slicer.jumps_back == 1


def test_a_jump_far_ahead_gives_a_bounded_number_of_steps():
    slicer = Slicer(10, max_gap_us=35)
    steps = slicer.feed(packet([0, 3_600_000_005]))
    assert told(steps) == [(0, 10, [0]), (10, 20, []), (20, 30, []), (30, 40, []), (40, 50, [])]
    assert slicer.skipped_steps == 360_000_000 - 5
    assert told(slicer.flush()) == [(3_600_000_000, 3_600_000_010, [1])]


def test_steps_are_made_when_they_are_asked_for():
    """An hour of silence in steps of a microsecond: nobody could hold them."""
    slicer = Slicer(1, max_gap_us=2**62)
    steps = slicer.steps(packet([0, 3_600_000_000]))
    assert told(next(steps) for _ in range(3)) == [(0, 1, [0]), (1, 2, []), (2, 3, [])]
    assert slicer.pending == 0 and slicer.open_us == 3


def test_a_network_at_rest_is_not_stepped_until_something_happens():
    slicer = Slicer(10, max_gap_us=30)
    slicer.feed(packet([0]))
    steps = [s for w in range(5, 1000, 5) for s in slicer.feed(packet([], watermark=w))]
    assert told(steps) == [(0, 10, [0]), (10, 20, []), (20, 30, []), (30, 40, [])]
    assert slicer.skipped_steps == 95
    assert told(slicer.feed(packet([1001, 1012], first=1))) == [(1000, 1010, [1])]


def test_arrival_is_that_of_the_last_packet_that_told_about_the_step():
    slicer = Slicer(10)
    slicer.feed(packet([0, 4], arrival=100))
    # The packet that passes the step by tells nothing about it.
    assert slicer.feed(packet([10], arrival=200))[0].arrival_ns == 100
    # A watermark inside the step does, one at its end closes it without telling more.
    slicer.feed(packet([], watermark=17, arrival=300))
    assert slicer.feed(packet([], watermark=20, arrival=400))[0].arrival_ns == 300
    # Steps that nobody told about arrive with the packet that passes them by.
    assert [s.arrival_ns for s in slicer.feed(packet([45], arrival=500))] == [500, 500]
    # One packet may hold all of a step and close it.
    assert slicer.feed(packet([47, 52], arrival=600))[0].arrival_ns == 600


def test_ordered_packets_are_not_copied():
    one = packet([0, 3, 12])
    (step,) = Slicer(10).feed(one)
    assert np.shares_memory(step.events, one.events)


def test_packed_records_and_strided_views_are_taken_too():
    events = numbered([0, 3, 5, 12])
    packed = np.concatenate([events[:2], events[2:]])
    assert packed.dtype.itemsize == 13
    for odd in (packed, np.repeat(events, 2)[::2]):
        (step,) = Slicer(10).feed(Packet(odd, 12, 0))
        assert (step.events["x"].tolist(), step.events.dtype) == ([0, 1, 2], EVENT)


def test_indices_count_emitted_steps():
    slicer = Slicer(10, max_gap_us=20)
    steps = slicer.feed(packet([0, 95])) + slicer.flush()
    assert [s.index for s in steps] == [0, 1, 2, 3]


def test_silent_steps_look_like_others():
    (_, silent) = Slicer(10).feed(packet([0], watermark=20))
    assert silent.events.shape == (0,)
    assert silent.events.dtype == numbered([0]).dtype


@pytest.mark.parametrize("wrong", [{"step_us": 0}, {"step_us": 5, "reset_us": -1}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match="not a slicing"):
        Slicer(**wrong)


# Any cutting of the same recording gives the same steps, and they are the ones that the rules say.

STEP, RESET, GAP = 10, 40, 70


@dataclass
class Told:
    steps: list[tuple[int, int, list[int]]]
    late: int
    jumps_back: int
    skipped: int


def by_the_rules(times: list[int], until: int) -> Told:
    """The rules once more, event by event, as plain as can be; `until` is told at the end."""
    out, late, jumps, skipped = [], 0, 0, 0
    start = clock = times[0]
    offset, inside, silent = 0, [], 0
    for number, sensor_us in [*enumerate(times), (-1, until)]:
        t = sensor_us + offset
        if number >= 0 and t < clock - RESET:
            jumps += 1
            if inside:
                out.append((start, start + STEP, inside))
                start, inside, silent = start + STEP, [], 0
            offset += start - t
            t = clock = start
        while t >= start + STEP:
            if inside or silent < GAP / STEP:
                out.append((start, start + STEP, inside))
            else:
                skipped += 1
            silent = 0 if inside else silent + 1
            start, inside = start + STEP, []
        if number >= 0 and t < start:
            late += 1
        elif number >= 0:
            inside.append(number)
        clock = max(clock, t)
    if inside:
        out.append((start, start + STEP, inside))
    return Told(out, late, jumps, skipped)


DELTAS = st.one_of(
    st.integers(0, 6), st.integers(0, 6), st.integers(-25, 30), st.integers(-300, 300)
)


@st.composite
def recordings(draw) -> list[int]:
    deltas = draw(st.lists(DELTAS, min_size=1, max_size=60))
    return (1000 + np.cumsum(deltas)).tolist()


@st.composite
def cuttings(draw, times: list[int], until: int) -> list[Packet]:
    """Cut anywhere, with packets without events between, and with any watermark that is true."""
    packets = []
    at = told = 0
    while at < len(times):
        size = 12 - draw(st.integers(0, 12))
        piece = times[at : at + size]
        at += len(piece)
        if at == 0:
            continue  # a silent start is a recording of its own
        low, high = true_watermarks(times, at)
        told = draw(st.integers(min(high, max(low, told)), high))  # it does not fall either
        packets.append(packet(piece, told, first=at - len(piece)))
    packets.append(packet([], until))
    return packets


def true_watermarks(times: list[int], at: int) -> tuple[int, int]:
    """What may be told between event at - 1 and event at, without a jump of the sensor's clock."""
    clock = times[0]
    for before in times[:at]:
        clock = before if before < clock - RESET else max(clock, before)
    later = []
    ahead = clock
    for t in times[at:]:
        if t < ahead - RESET:
            break
        later.append(t)
        ahead = max(ahead, t)
    jump_follows = len(later) < len(times) - at
    high = min(later, default=clock)
    # Time told just before a restart is silence of its own; leave it out.
    return (min(clock, high), min(clock, high) if jump_follows and not later else high)


@settings(max_examples=400, deadline=None)
@given(st.data(), recordings(), st.integers(0, 200))
def test_any_cutting_gives_the_steps_of_the_rules(data, times, silence):
    until = last_clock(times) + silence
    expected = by_the_rules(times, until)
    slicer = Slicer(STEP, reset_us=RESET, max_gap_us=GAP)
    steps = []
    for piece in data.draw(cuttings(times, until)):
        steps += slicer.feed(piece)
    steps += slicer.flush()
    found = Told(told(steps), slicer.late, slicer.jumps_back, slicer.skipped_steps)
    assert found == expected
    for step in steps:
        assert ((step.events["t"] >= step.start_us) & (step.events["t"] < step.end_us)).all()
    used = sum(len(s.events) for s in steps)
    assert used + slicer.late == len(times)


def last_clock(times: list[int]) -> int:
    clock = times[0]
    for t in times:
        clock = t if t < clock - RESET else max(clock, t)
    return clock


@settings(max_examples=100, deadline=None)
@given(recordings(), st.lists(st.integers(0, 100), max_size=8))
def test_a_silent_start_changes_nothing_after_it(times, silences):
    def steps_of(packets):
        slicer = Slicer(STEP, reset_us=RESET, max_gap_us=GAP)
        return [s for p in packets for s in slicer.feed(p)] + slicer.flush()

    watermarks = sorted(times[0] - silence for silence in silences)
    dark = [packet([], w) for w in watermarks]
    expected = told(steps_of([packet(times)]))
    found = told(steps_of([*dark, packet(times)]))
    assert found[len(found) - len(expected) :] == expected
    assert all(events == [] for _, _, events in found[: len(found) - len(expected)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=300), st.integers(1, 50))
def test_no_damage_to_the_times_breaks_the_ledger_or_the_order(times, size):
    slicer = Slicer(200_000)
    steps = []
    for at in range(0, len(times), size):
        steps += slicer.feed(packet(times[at : at + size]))
    steps += slicer.flush()
    assert sum(len(s.events) for s in steps) + slicer.late == len(times)
    assert all(a.end_us <= b.start_us for a, b in zip(steps, steps[1:], strict=False))
    assert len(steps) <= len(times) * (slicer_silence(slicer) + 1)


def slicer_silence(slicer: Slicer) -> int:
    return 10_000_000 // slicer.step_us
