import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesnn.errors import InputError
from edgesnn.events import EVENT, check_inside, empty_events, events_from_arrays
from edgesnn.senses.encoder import Encoder, EncoderSpec, Grid, virtual_sensor

COUNTS = EncoderSpec((128, 128), tuple(range(256)))


def at(*places: tuple[int, int, int]):
    """Events at (x, y, p)."""
    x, y, p = (np.array(column) for column in zip(*places, strict=True))
    return events_from_arrays(np.arange(len(places)), x, y, p)


def test_channel_0_is_off_channel_1_is_on_and_rows_are_y():
    encoder = Encoder(COUNTS, (2, 32, 32), (128, 128))
    x = encoder.encode(at((0, 0, 0), (127, 0, 1), (127, 3, 1), (4, 127, 0)))
    assert (x.shape, x.dtype) == ((2, 32, 32), np.uint8)
    assert [tuple(map(int, place)) for place in np.argwhere(x)] == [
        (0, 0, 0),
        (0, 31, 1),
        (1, 0, 31),
    ]
    assert x[1, 0, 31] == 2
    assert encoder.used == 4


def test_no_events_give_a_full_frame_of_the_lowest_level():
    levels = EncoderSpec((128, 128), (7,) + (9,) * 255)
    encoder = Encoder(levels, (2, 32, 32), (128, 128))
    x = encoder.encode(empty_events())
    assert (x.shape, x.dtype, encoder.used) == ((2, 32, 32), np.uint8, 0)
    assert (x == 7).all()


@pytest.mark.parametrize(
    "count, level", [(1, 1), (254, 254), (255, 255), (256, 255), (70_000, 255)]
)
def test_counts_saturate_and_do_not_wrap(count, level):
    encoder = Encoder(COUNTS, (2, 32, 32), (128, 128))
    x = encoder.encode(at(*[(5, 6, 1)] * count))
    assert x[1, 1, 1] == level
    assert np.count_nonzero(x) == 1


def test_levels_are_looked_up():
    spec = EncoderSpec((128, 128), tuple(min(n, 3) for n in range(256)))
    x = Encoder(spec, (2, 32, 32), (128, 128)).encode(at(*[(0, 0, 0)] * 9, (99, 99, 1)))
    assert (x[0, 0, 0], x[1, 24, 24]) == (3, 1)


def test_a_large_sensor_is_cropped_to_its_centre_and_subsampled():
    columns, rows = virtual_sensor((346, 260), (128, 128))
    assert (columns.shape, rows.shape) == ((346,), (260,))
    for table, before in ((columns, 43), (rows, 0)):
        used = np.flatnonzero(table >= 0)
        assert table[used].tolist() == list(range(128))
        # 260 / 128 = 2.03 pixels for each virtual one; the first centre is at 1.01.
        assert used[:3].tolist() == [before + 1, before + 3, before + 5]
        assert used[-1] == before + 258
    encoder = Encoder(COUNTS, (2, 32, 32), (346, 260))
    x = encoder.encode(at((44, 1, 1), (43, 1, 1), (44, 0, 1), (42, 1, 1), (345, 259, 1)))
    assert (int(x.sum()), x[1, 0, 0], encoder.used) == (1, 1, 1)


def test_the_same_scene_gives_the_same_density_on_a_larger_sensor():
    # Every pixel fires once: so does every virtual pixel, 16 to a cell.
    for size in ((128, 128), (240, 180), (640, 480), (1280, 720)):
        y, x = np.divmod(np.arange(size[0] * size[1]), size[0])
        events = events_from_arrays(np.zeros(len(x)), x, y, np.ones(len(x)))
        frame = Encoder(COUNTS, (2, 32, 32), size).encode(events)
        assert (frame[1] == 16).all(), size


def test_a_wide_virtual_sensor_keeps_its_shape():
    columns, rows = virtual_sensor((100, 100), (20, 10))
    assert np.flatnonzero(columns >= 0)[[0, -1]].tolist() == [2, 97]
    assert np.flatnonzero(rows >= 0)[[0, -1]].tolist() == [27, 72]


def test_a_small_sensor_is_refused():
    with pytest.raises(InputError, match="a 34 x 34 sensor; this model needs at least 128 x 128"):
        Encoder(COUNTS, (2, 32, 32), (34, 34))
    with pytest.raises(InputError, match="a 640 x 100 sensor"):
        Encoder(COUNTS, (2, 32, 32), (640, 100))
    with pytest.raises(InputError, match="a 100 x 640 sensor"):
        Encoder(COUNTS, (2, 32, 32), (100, 640))


def test_programs_that_events_cannot_feed_are_refused():
    with pytest.raises(InputError, match="takes 3 channels, and events have 2"):
        Encoder(COUNTS, (3, 32, 32), (128, 128))
    with pytest.raises(InputError, match="takes 129 x 32 cells and was made for a sensor of 128"):
        Encoder(COUNTS, (2, 32, 129), (300, 300))


def test_wrong_shapes_are_our_own_mistake():
    with pytest.raises(ValueError, match="256 levels"):
        Encoder(EncoderSpec((128, 128), (0, 1)), (2, 32, 32), (128, 128))


SIZES = [(2, 2), (128, 128), (64, 128), (130, 128), (346, 260), (2048, 2048), (4096, 1024)]
GRIDS = [(1, 1), (2, 2), (16, 32), (32, 32), (10, 7), (30, 30), (128, 128), (64, 2)]


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(SIZES), st.sampled_from(GRIDS), st.integers(0, 2**32))
def test_binning_is_exact_however_it_is_done(data, size, cells, seed):
    """Against one loop; the unused bytes of the record hold anything."""
    width, height = size
    columns = np.arange(width) * min(cells[0], width) // width
    rows = np.arange(height) * min(cells[1], height) // height
    if data.draw(st.booleans(), label="with pixels that do not count"):
        columns[data.draw(st.integers(0, width - 2)) :: 2] = -1
    if columns.max() < 0:
        return
    random = np.random.default_rng(seed)
    events = random.integers(0, 2**63, 2 * 200).astype(np.uint64).view(EVENT)
    events["x"], events["y"] = random.integers(0, width, 200), random.integers(0, height, 200)
    events["p"] = random.integers(0, 2, 200)
    grid = Grid(columns, rows)
    expected = np.zeros((2, rows.max() + 1, columns.max() + 1), int)
    for event in events:
        if columns[event["x"]] >= 0:
            expected[event["p"], rows[event["y"]], columns[event["x"]]] += 1
    assert np.array_equal(grid.count(events), expected)


@pytest.mark.parametrize("cells", [(32, 32), (128, 128), (128, 1), (1, 128), (2, 64)])
def test_every_pixel_of_a_small_sensor_lands_in_its_cell(cells):
    p, y, x = np.indices((2, 128, 128)).reshape(3, -1)
    columns, rows = np.arange(128) * cells[0] // 128, np.arange(128) * cells[1] // 128
    grid = Grid(columns, rows)
    events = events_from_arrays(np.full(len(x), -1), x, y, p)
    counts = grid.count(events)
    assert (counts == 128 * 128 // (cells[0] * cells[1])).all()
    for one in range(0, len(x), 1237):
        assert grid.count(events[one : one + 1])[p[one], rows[y[one]], columns[x[one]]] == 1


def test_blocks_add_up():
    random = np.random.default_rng(1)
    events = np.zeros(200_000, EVENT)
    events["x"], events["y"] = random.integers(0, 128, (2, 200_000))
    grid = Grid(np.arange(128) // 4, np.arange(128) // 4)
    expected = sum(grid.count(events[i : i + 777]) for i in range(0, 200_000, 777))
    assert np.array_equal(grid.count(events), expected)
    assert expected.sum() == 200_000


def test_events_outside_the_sensor_are_named():
    check_inside(at((127, 127, 1), (0, 0, 0)), (128, 128), "wave.bs2")
    check_inside(empty_events(), (128, 128), "wave.bs2")
    with pytest.raises(InputError, match=r"wave.bs2: event 1 at t=1 us lies at x=5, y=128, .* 128"):
        check_inside(at((1, 2, 0), (5, 128, 1), (300, 0, 0)), (128, 128), "wave.bs2")
    with pytest.raises(InputError, match="event 0 at t=0 us lies at x=128, y=0"):
        check_inside(at((128, 0, 0)), (128, 200), "x")
    with pytest.raises(InputError, match="event 0 at t=0 us lies at x=0, y=128"):
        check_inside(at((0, 128, 0)), (200, 128), "x")
