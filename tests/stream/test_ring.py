import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import zeros

from edgesnn.events import EVENT, Packet
from edgesnn.stream.ring import Ring


def packet(events: int, number: int = 0, arrival_ns: int = 0) -> Packet:
    return Packet(zeros(events, EVENT), number, arrival_ns)


def drain(ring: Ring) -> list[int]:
    numbers = []
    while (popped := ring.pop(0)) is not None:
        numbers.append(popped.watermark_us)
    return numbers


def test_packets_come_out_in_order_and_whole():
    ring = Ring(100, 10)
    first = packet(3, 1)
    ring.push(first)
    ring.push(packet(0, 2))
    assert (ring.queued_events, ring.queued_packets) == (3, 2)
    assert ring.pop(0) is first
    assert drain(ring) == [2]
    assert (ring.dropped_events, ring.dropped_packets) == (0, 0)


def test_push_drops_the_oldest_whole_packets_for_events():
    ring = Ring(10, 100)
    for number, events in enumerate([4, 4, 2]):
        ring.push(packet(events, number))
    assert ring.dropped_packets == 0
    ring.push(packet(5, 3))
    assert (ring.dropped_events, ring.dropped_packets, ring.queued_events) == (8, 2, 7)
    assert drain(ring) == [2, 3]


def test_push_drops_the_oldest_for_packets_even_without_events():
    ring = Ring(10, 2)
    for number in range(5):
        ring.push(packet(0, number))
    assert (ring.dropped_events, ring.dropped_packets) == (0, 3)
    assert drain(ring) == [3, 4]


def test_a_packet_larger_than_the_ring_is_queued_alone():
    ring = Ring(10, 100)
    ring.push(packet(3, 0))
    ring.push(packet(25, 1))
    assert (ring.queued_events, ring.dropped_events) == (25, 3)
    ring.push(packet(1, 2))
    assert (ring.queued_events, ring.dropped_events) == (1, 28)
    assert drain(ring) == [2]


def test_push_drops_what_is_too_old_for_a_live_decision():
    ring = Ring(10**9, 10**9, max_age_s=0.5)
    for number, arrival_ns in enumerate([0, 300_000_000, 500_000_000, 500_000_001, 900_000_000]):
        ring.push(packet(1, number, arrival_ns))
    assert drain(ring) == [2, 3, 4]
    assert ring.dropped_packets == 2
    exactly = Ring(10**9, 10**9, max_age_s=0.5)
    exactly.push(packet(1, 0, 0))
    exactly.push(packet(1, 1, 500_000_000))
    assert drain(exactly) == [0, 1]


def test_push_wait_waits_for_room_and_loses_nothing(monkeypatch):
    monkeypatch.setattr("edgesnn.stream.ring._LOOK_FOR_STOP_S", 60)  # it is woken, it does not look
    ring = Ring(10, 100)
    stop = threading.Event()
    assert ring.push_wait(packet(10, 0), stop)
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(ring.push_wait(packet(1, 1), stop)))
    waiting.start()
    time.sleep(0.02)
    assert taken == []
    assert ring.pop(0).watermark_us == 0
    waiting.join(5)
    assert taken == [True]
    assert drain(ring) == [1]
    assert ring.dropped_packets == 0


def test_push_wait_leaves_when_told_to_stop():
    ring = Ring(10, 1)
    stop = threading.Event()
    ring.push_wait(packet(1, 0), stop)
    threading.Timer(0.02, stop.set).start()
    began = time.monotonic()
    assert ring.push_wait(packet(1, 1), stop) is False
    assert time.monotonic() - began < 2
    assert drain(ring) == [0]


def test_pop_waits_for_the_given_time():
    ring = Ring(10, 10)
    began = time.monotonic()
    assert ring.pop(0.05) is None
    assert 0.045 <= time.monotonic() - began < 2
    assert not ring.ended


def test_pop_wakes_when_a_packet_comes():
    ring = Ring(10, 10)
    threading.Timer(0.02, ring.push, [packet(1, 7)]).start()
    began = time.monotonic()
    assert ring.pop(10).watermark_us == 7
    assert time.monotonic() - began < 5


def test_after_the_end_the_rest_comes_out_and_then_nothing_waits():
    ring = Ring(10, 10)
    ring.push(packet(1, 1))
    ring.end()
    assert not ring.ended
    assert ring.pop(10).watermark_us == 1
    assert ring.ended
    began = time.monotonic()
    assert ring.pop(10) is None
    assert time.monotonic() - began < 5
    with pytest.raises(RuntimeError, match=r"after end\(\)"):
        ring.push(packet(1, 2))


def test_end_wakes_a_waiting_pop():
    ring = Ring(10, 10)
    threading.Timer(0.02, ring.end).start()
    began = time.monotonic()
    assert ring.pop(10) is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_bounds_must_be_positive(bounds):
    with pytest.raises(ValueError, match="must be positive"):
        Ring(*bounds)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 15)),
        st.tuples(st.just("push_wait"), st.integers(0, 15)),
        st.tuples(st.just("pop"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(OPERATIONS, st.integers(1, 12), st.integers(1, 5))
def test_the_ring_behaves_like_a_list_and_its_ledger_balances(operations, max_events, max_packets):
    ring, queue = Ring(max_events, max_packets), []
    taken = popped = dropped = number = 0
    full = threading.Event()
    full.set()  # a push_wait without room gives up at once
    for what, events in operations:
        if what == "pop":
            got = ring.pop(0)
            expected = queue.pop(0) if queue else None
            assert (got and (len(got.events), got.watermark_us)) == expected
            popped += len(got.events) if got else 0
            continue
        number += 1
        if what == "push":
            while queue and not room(queue, events, max_events, max_packets):
                dropped += queue.pop(0)[0]
            ring.push(packet(events, number))
        else:
            fits = not queue or room(queue, events, max_events, max_packets)
            assert ring.push_wait(packet(events, number), full) is fits
            if not fits:
                continue
        queue.append((events, number))
        taken += events
        assert taken == popped + ring.dropped_events + ring.queued_events
        assert (ring.dropped_events, ring.queued_packets) == (dropped, len(queue))
        assert ring.queued_packets <= max_packets
        assert ring.queued_events <= max_events or ring.queued_packets == 1


def room(queue, events, max_events, max_packets):
    return len(queue) < max_packets and sum(e for e, _ in queue) + events <= max_events


@pytest.mark.parametrize("waits", [False, True])
def test_two_threads(waits):
    ring, stop, count = Ring(50, 8), threading.Event(), 4000

    def produce():
        for number in range(count):
            one = packet(number % 23, number)
            if waits:
                ring.push_wait(one, stop)
            else:
                ring.push(one)
        ring.end()

    producer = threading.Thread(target=produce)
    producer.start()
    numbers, events = [], 0
    while not ring.ended:
        got = ring.pop(1.0)
        if got is not None:
            assert len(got.events) == got.watermark_us % 23
            numbers.append(got.watermark_us)
            events += len(got.events)
    producer.join(10)
    assert numbers == sorted(set(numbers))
    assert len(numbers) + ring.dropped_packets == count
    assert events + ring.dropped_events == sum(number % 23 for number in range(count))
    if waits:
        assert numbers == list(range(count))
