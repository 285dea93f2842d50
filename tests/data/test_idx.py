import contextlib
import gzip
import struct
import tracemalloc

import numpy
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan.data import DataError, read_idx, write_idx

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
FUZZ = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def test_a_file_written_by_hand_is_read_in_big_endian_order(tmp_path):
    path = tmp_path / "a.idx"
    path.write_bytes(
        bytes.fromhex("00000b02 00000002 00000003") + struct.pack(">6h", 1, -2, 3, 256, 5, -32768)
    )
    array = read_idx(path)
    assert array.dtype == numpy.dtype("=i2")
    numpy.testing.assert_array_equal(array, [[1, -2, 3], [256, 5, -32768]])
    array[0, 0] = 7
    assert array[0, 0] == 7


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 70_000, 28)])
def test_round_trip(tmp_path, dtype, shape, suffix):
    path = tmp_path / f"a{suffix}"
    array = (
        (numpy.random.default_rng(0).standard_normal(shape) * 50).astype(numpy.int8).astype(dtype)
    )
    write_idx(path, array.astype(array.dtype.newbyteorder(">")))
    again = read_idx(str(path))
    assert again.dtype == numpy.dtype(dtype)
    assert again.shape == shape
    numpy.testing.assert_array_equal(again, array)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == (suffix == ".gz")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_writing_twice_gives_the_same_bytes_whatever_the_memory_layout(tmp_path):
    array = numpy.arange(12, dtype=numpy.int32).reshape(3, 4)
    write_idx(tmp_path / "a.gz", array)
    write_idx(tmp_path / "b.gz", numpy.asfortranarray(array))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(OSError):
        write_idx(path, numpy.zeros(3, numpy.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    plain, packed = tmp_path / "plain.gz", tmp_path / "packed"
    plain.write_bytes(header(8, 2) + b"\1\2")
    packed.write_bytes(gzip.compress(header(8, 2) + b"\1\2"))
    assert read_idx(plain).tolist() == read_idx(packed).tolist() == [1, 2]


GOOD = header(8, 2, 3) + bytes(6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file: it starts with nothing"),
        (b"\0\0\x08", "is not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "is not an IDX file: it starts with 89 50 4e 47"),
        (header(7, 1) + b"\0", "is not an IDX file"),
        (header(8), "is not an IDX file"),
        (bytes([0, 0, 8, 65]) + bytes(4 * 65), "is not an IDX file"),
        (GOOD[:9], "inside its header"),
        (GOOD[:-1], "truncated"),
        (GOOD + b"\0", "more than the 6 bytes"),
        (header(14, 2**32 - 1, 2**32 - 1, 2**32 - 1), "cannot hold"),
        (header(8, 0, 2**32 - 1, 2**32 - 1, 2**32 - 1), "more than max_bytes"),
        (gzip.compress(GOOD[:-1], mtime=0), "is truncated: it has 5 of 6 bytes"),
        (gzip.compress(GOOD + b"\0", mtime=0), "more than the 6 bytes"),
        (gzip.compress(header(8, 2**32 - 1), mtime=0), "cannot hold"),
        (gzip.compress(GOOD, mtime=0)[:-3], "cannot be read"),
        (gzip.compress(GOOD, mtime=0)[:-6] + bytes(6), "cannot be read"),
        (gzip.compress(GOOD, mtime=0) + b"garbage", "cannot be read"),
        (b"\x1f\x8b" + bytes(40), "cannot be read"),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 20, "cannot be read"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "damaged-idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError, match="is not a file"):
            read_idx(path)


def test_arrays_beyond_the_limit_are_refused(tmp_path):
    write_idx(tmp_path / "a", numpy.zeros(1000, numpy.uint8))
    assert read_idx(tmp_path / "a", max_bytes=1000).shape == (1000,)
    with pytest.raises(DataError, match="more than max_bytes=999"):
        read_idx(tmp_path / "a", max_bytes=999)


def test_a_gzip_bomb_is_not_unfolded(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header(8, 10) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than the 10 bytes"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_the_format_cannot_hold_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="IDX cannot hold int64: convert to uint8"):
        write_idx(tmp_path / "a", numpy.zeros(3, numpy.int64))
    with pytest.raises(ValueError, match=r"IDX cannot hold shape \(\)"):
        write_idx(tmp_path / "a", numpy.float32(3))
    assert not list(tmp_path.iterdir())


def read_or_refuse(path, content):
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        return read_idx(path)
    return None


@FUZZ
@given(st.binary(max_size=200))
@example(b"\0\0\x08\x01\0\0\0\0")
def test_random_bytes_give_an_array_or_a_data_error(tmp_path, content):
    array = read_or_refuse(tmp_path / "fuzz", content)
    if array is not None:
        assert (
            content
            == content[: 4 + 4 * array.ndim] + array.astype(array.dtype.newbyteorder(">")).tobytes()
        )


@FUZZ
@given(
    array=hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(max_dims=4, max_side=5)),
    packed=st.booleans(),
    position=st.integers(0, 10**6),
    kind=st.sampled_from(["none", "flip", "cut", "insert"]),
    byte=st.integers(1, 255),
)
def test_mutated_files_give_the_array_or_a_data_error(
    tmp_path, array, packed, position, kind, byte
):
    write_idx(tmp_path / ("a.gz" if packed else "a"), array)
    content = bytearray((tmp_path / ("a.gz" if packed else "a")).read_bytes())
    position %= len(content)
    if kind == "flip":
        content[position] ^= byte
    elif kind == "cut":
        del content[position:]
    elif kind == "insert":
        content.insert(position, byte)
    got = read_or_refuse(tmp_path / "mutated", bytes(content))
    if kind == "none":
        numpy.testing.assert_array_equal(got, array)
    elif kind == "cut":
        assert got is None
    elif got is not None and packed:
        # What gzip itself ignores (its time stamp, say) may change; the payload has a checksum.
        numpy.testing.assert_array_equal(got, array)
    elif got is not None:
        assert got.nbytes == array.nbytes or kind == "insert"
