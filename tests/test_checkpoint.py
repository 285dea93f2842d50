"""Checkpoint files: whole or not at all, told from altered ones, and harmless whatever they
claim.
"""

import json
import os
import struct
import subprocess
import sys

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import checkpoint, nn, optim
from minigan.checkpoint import CheckpointError
from minigan.files import remove_leftovers, written_whole

ARRAYS = {
    "transposed": numpy.arange(12, dtype="float32").reshape(3, 4).T,
    "strided": numpy.arange(20, dtype="float64")[::-3],
    "fortran": numpy.asfortranarray(numpy.arange(24, dtype="int64").reshape(2, 3, 4)),
    "scalar": numpy.array(7),
    "empty": numpy.zeros((0, 3), "float32"),
    "flags": numpy.array([True, False]),
}
META = {"step": 3, "rng": {"state": 2**127, "nested": [1.5, None, "é"]}}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, ARRAYS, META)
    return path


def test_every_layout_comes_back_number_for_number(saved):
    arrays, meta = checkpoint.load(saved)
    assert meta == META
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape, name
        numpy.testing.assert_array_equal(arrays[name], array, err_msg=name)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", "<i8", "float16"])
def test_every_byte_order_comes_back_number_for_number(tmp_path, dtype):
    array = numpy.arange(6, dtype=dtype).reshape(2, 3)
    checkpoint.save(tmp_path / "x.safetensors", {"x": array, "row": array[0]}, {})
    arrays, _ = checkpoint.load(tmp_path / "x.safetensors")
    numpy.testing.assert_array_equal(arrays["x"], array)
    numpy.testing.assert_array_equal(arrays["row"], array[0])
    assert arrays["x"].dtype == numpy.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize("dtype", ["complex64", "longdouble", "U3", "datetime64[s]", object])
def test_what_a_checkpoint_cannot_hold_is_named(tmp_path, dtype):
    array = numpy.zeros(2, int).astype(dtype)
    if array.dtype == numpy.float64:
        pytest.skip("long doubles have 64 bits here")
    with pytest.raises(TypeError, match=r"The array 'odd' is .*, but a checkpoint holds real"):
        checkpoint.save(tmp_path / "x.safetensors", {"odd": array}, {})
    assert list(tmp_path.iterdir()) == []


def test_the_same_state_gives_the_same_bytes(saved, tmp_path):
    again = tmp_path / "again.safetensors"
    checkpoint.save(again, ARRAYS, META)
    assert again.read_bytes() == saved.read_bytes()


def test_prefixes_come_and_go():
    arrays = checkpoint.prefixed("a", {"x": 1}) | checkpoint.prefixed("ab", {"x": 2})
    assert checkpoint.under("a", arrays) == {"x": 1}


# ---------------------------------------------------------------- written whole or not at all


def test_a_failure_in_the_middle_leaves_the_older_file_and_nothing_else(
    saved, tmp_path, monkeypatch
):
    before = saved.read_bytes()

    def full(self, payload):
        with self.open("wb") as file:
            file.write(payload[: len(payload) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.save(saved, {"x": numpy.zeros(100)}, {})
    assert caught.value.filename == str(saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_a_full_disk_that_shows_only_at_the_sync_is_no_success(saved, monkeypatch):
    before = saved.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(saved, {"x": numpy.zeros(100)}, {})
    assert saved.read_bytes() == before


def test_a_file_system_that_cannot_sync_is_no_obstacle(saved, monkeypatch):
    def unable(handle):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.fsync", unable)
    checkpoint.save(saved, {"x": numpy.zeros(3)}, {})
    assert checkpoint.load(saved)[0].keys() == {"x"}


def test_a_write_that_really_fails(saved, tmp_path):
    """The kernel itself refuses: no file of this process may exceed 64 kB."""
    pytest.importorskip("resource")
    before = saved.read_bytes()
    code = (
        "import resource, sys, numpy; from minigan import checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "checkpoint.save(sys.argv[1], {'x': numpy.zeros(100_000)}, {})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert str(saved) in done.stderr
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_no_folder_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        checkpoint.save(tmp_path / "no" / "x.safetensors", {}, {})
    with pytest.raises(ValueError, match="is a folder"):
        checkpoint.save(tmp_path, {}, {})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs in folders")
def test_what_is_no_file_is_refused_and_left(tmp_path):
    # Replaced by a file, /dev/null would be none any more.
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="is a device or a pipe; give the name of a file"):
        checkpoint.save(pipe, {}, {})
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_is_written_through(tmp_path):
    there, link = tmp_path / "there", tmp_path / "link.safetensors"
    there.mkdir()
    try:
        link.symlink_to(there / "x.safetensors")
    except OSError:
        pytest.skip("this user can't make links")
    for step in range(2):
        checkpoint.save(link, {}, {"step": step})
        assert link.is_symlink()
        assert checkpoint.load(there / "x.safetensors")[1] == {"step": step}
    assert sorted(tmp_path.rglob("*")) == [link, there, there / "x.safetensors"]


def test_arguments_in_the_wrong_order_are_named(tmp_path):
    for arrays, meta in ((nn.ReLU(), {}), ("x.safetensors", {}), ({}, None), ({}, [1])):
        with pytest.raises(TypeError, match="checkpoint must be a dictionary, such as"):
            checkpoint.save(tmp_path / "x.safetensors", arrays, meta)
    assert not any(tmp_path.iterdir())


def test_the_pair_that_load_returns_is_no_state(tmp_path):
    net = nn.Linear(2, 2, rng=numpy.random.default_rng(0))
    optimizer = optim.Adam(net)
    checkpoint.save(tmp_path / "x.safetensors", net.state_dict(), {})
    pair = checkpoint.load(tmp_path / "x.safetensors")
    for part in (net, optimizer):
        for state in (pair, None, "x.safetensors"):
            with pytest.raises(TypeError, match=r"must be a dictionary.* the first of the two"):
                part.load_state_dict(state)
    net.load_state_dict(pair[0])


def test_what_a_killed_process_left_is_swept_up_and_nothing_else(tmp_path):
    kept = [
        tmp_path / name
        for name in (".hidden", "step-00000001.safetensors", ".keep-me.png", ".x-0123.png")
    ]
    for path in kept:
        path.touch()
    try:
        with written_whole(tmp_path / "picture.png") as temporary:
            temporary.write_bytes(b"half")
            left = temporary.with_name(temporary.name)
            (tmp_path / "copy").write_bytes(left.read_bytes())
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        left.write_bytes(b"half")
    (tmp_path / "copy").unlink()
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


# ---------------------------------------------------------------- truncated, altered, foreign


def test_no_such_file(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        checkpoint.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        checkpoint.load(saved)


def test_every_altered_byte_is_noticed(saved):
    whole = saved.read_bytes()
    for i in range(0, len(whole), 7):
        saved.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(CheckpointError):
            checkpoint.load(saved)


@pytest.mark.parametrize(
    ("written", "altered"), [('"shape":[2,3]', '"shape":[3,2]'), ('"dtype":"F32"', '"dtype":"I32"')]
)
def test_another_shape_or_type_of_the_same_bytes_is_noticed(tmp_path, written, altered):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"x": numpy.arange(6, dtype="float32").reshape(2, 3)}, {})
    whole = path.read_bytes()
    assert whole.count(written.encode()) == 1
    path.write_bytes(whole.replace(written.encode(), altered.encode()))
    with pytest.raises(CheckpointError, match="has been altered since it was written"):
        checkpoint.load(path)


def _file(description, arrays=ARRAYS):
    from safetensors.numpy import save

    plain = {name: numpy.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    return save(plain, metadata=description)


def test_a_newer_version(tmp_path):
    path = tmp_path / "new.safetensors"
    path.write_bytes(
        _file({"minigan": json.dumps({"format": checkpoint.FORMAT + 1, "anything": "else"})})
    )
    with pytest.raises(CheckpointError, match="update minigan"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "description",
    [
        None,
        {"minigan": "no json"},
        {"minigan": "[1]"},
        {"minigan": '{"format": 1e999}'},
        {"minigan": '{"format": "1"}'},
        {"minigan": "[" * 100_000},
        {"format": "pt"},
    ],
)
def test_another_programs_file(tmp_path, description):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(_file(description))
    with pytest.raises(CheckpointError, match="wasn't written by minigan"):
        checkpoint.load(path)


@pytest.mark.parametrize("meta", ["[1, 2]", "7", "[" * 100_000, "{"])
def test_a_description_that_is_none_though_its_digest_is_right(tmp_path, meta):
    path = tmp_path / "odd.safetensors"
    plain = {"x": numpy.zeros(2)}
    digest = checkpoint._digest(plain, meta)
    path.write_bytes(
        _file({"minigan": json.dumps({"format": 1, "digest": digest, "meta": meta})}, plain)
    )
    with pytest.raises(CheckpointError, match="wasn't written by minigan"):
        checkpoint.load(path)


# ---------------------------------------------------------------- fuzzing


def _peak_memory():
    """In kilobytes."""
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (
        1024 if sys.platform == "darwin" else 1
    )


@given(st.binary(max_size=400))
def test_any_bytes_at_all(tmp_path_factory, payload):
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    path.write_bytes(payload)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


SIZES = st.integers(min_value=0, max_value=2**64)


@given(
    dtype=st.sampled_from(["F32", "F64", "I64", "BOOL", "BF16", "F8_E4M3", "F4", "U8", "X", ""]),
    shape=st.lists(SIZES, max_size=5),
    offsets=st.lists(SIZES, max_size=3),
    length=st.none() | st.integers(min_value=0, max_value=2**64 - 1),
    tail=st.binary(max_size=64),
)
def test_a_lying_header_gets_no_memory(tmp_path_factory, dtype, shape, offsets, length, tail):
    header = json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + tail)
    before = _peak_memory()
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert _peak_memory() - before < 50_000


@given(st.data())
def test_mutations_of_a_good_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    checkpoint.save(path, {"x": numpy.arange(6.0)}, {"step": 1})
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(whole)))
        whole[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    if bytes(whole) == path.read_bytes():
        return
    path.write_bytes(bytes(whole))
    try:
        arrays, meta = checkpoint.load(path)
    except CheckpointError:
        return
    # A change of insignificant bytes (white space in the header) may pass, one of content may not.
    numpy.testing.assert_array_equal(arrays["x"], numpy.arange(6.0))
    assert meta == {"step": 1}


def test_scalars_of_an_array_library_are_numbers_in_a_description(tmp_path):
    meta = {
        "step": numpy.int64(3),
        "loss": numpy.float32(0.5),
        "inside": {"list": [numpy.bool_(True)]},
    }
    checkpoint.save(tmp_path / "a.safetensors", {}, meta)
    assert checkpoint.load(tmp_path / "a.safetensors")[1] == {
        "step": 3,
        "loss": 0.5,
        "inside": {"list": [True]},
    }


@pytest.mark.parametrize(
    ("arrays", "meta"),
    [
        ({1: ARRAYS["scalar"], "1": ARRAYS["flags"]}, {}),
        ({}, {1: "a", "1": "b"}),
        ({}, {"rates": [{2.5: "a", "2.5": "b"}]}),
    ],
)
def test_names_that_become_the_same_text_lose_nothing(tmp_path, arrays, meta):
    with pytest.raises(ValueError, match=r"both called '(1|2\.5)'.*a name of its own"):
        checkpoint.save(tmp_path / "x", arrays, meta)
    assert not list(tmp_path.iterdir())


def test_what_json_cannot_hold_is_named_and_leaves_no_file(tmp_path):
    with pytest.raises(
        TypeError, match="The entry 'when' of the description can't be written as JSON"
    ):
        checkpoint.save(tmp_path / "a.safetensors", {}, {"step": 1, "when": object()})
    assert list(tmp_path.iterdir()) == []
