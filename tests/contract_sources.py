"""What every source must do, whatever it is; `test_sources_contract.py` runs it on each of them."""

import threading
import time
from collections.abc import Callable

from edgesnn.events import EVENT, Events, Packet, Source, joined_events

LONGEST_READ_S = 0.5
"""A read returns within milliseconds; the rest is a busy machine's."""


def packets_of(source: Source, limit: int = 100_000, seconds: float = 20.0) -> list[Packet]:
    """Read until the end, or until there are `limit` packets and an event, or time is over.

    A camera's packets are empty until it sees something, which on a busy machine takes its time.
    """
    found: list[Packet] = []
    events = 0
    until = time.monotonic() + seconds
    while (len(found) < limit or not events) and time.monotonic() < until:
        began = time.monotonic()
        packet = source.read()
        assert time.monotonic() - began < LONGEST_READ_S
        if packet is None:
            return found
        found.append(packet)
        events += len(packet.events)
    return found


def check_packets(source: Source, packets: list[Packet]) -> None:
    """Types, the sensor's bounds, clocks, and a watermark that tells the truth."""
    width, height = source.size
    watermark = None
    for packet in packets:
        events = packet.events
        assert events.dtype == EVENT and events.ndim == 1
        assert isinstance(packet.watermark_us, int) and isinstance(packet.arrival_ns, int)
        if len(events):
            assert events["x"].max() < width and events["y"].max() < height
            assert events["p"].max() <= 1
            # A packet without a jump back holds nothing before the last watermark.
            assert watermark is None or events["t"].min() >= watermark
            assert packet.watermark_us >= events["t"].max() - 1
        assert watermark is None or packet.watermark_us >= watermark
        assert packet.arrival_ns <= time.monotonic_ns()
        watermark = packet.watermark_us


def check_ends_once(source: Source) -> None:
    """None stays None; closing twice, and reading after it, are harmless."""
    assert [source.read() for _ in range(3)] == [None] * 3
    source.close()
    source.close()
    assert source.read() is None


def check_close_from_another_thread(make: Callable[[], Source]) -> None:
    """A source that is being read can be closed by somebody else: the reader sees it end."""
    source = make()
    assert source.read() is not None
    failures: list[Exception] = []

    def read_all() -> None:
        try:
            while source.read() is not None:
                pass
        except Exception as error:
            failures.append(error)

    reader = threading.Thread(target=read_all)
    reader.start()
    time.sleep(0.01)
    source.close()
    reader.join(5)
    assert not reader.is_alive() and not failures
    assert source.read() is None


def check_name_and_size(source: Source) -> None:
    """What people and the ring are told."""
    assert isinstance(source.name, str) and ":" in source.name
    assert len(source.size) == 2 and min(source.size) > 0
    assert isinstance(source.can_wait, bool)


def joined(packets: list[Packet]) -> Events:
    """All events of all packets."""
    return joined_events([p.events for p in packets])
