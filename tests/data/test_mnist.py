import functools
import gzip
import hashlib
import http.server
import importlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from minigan import data
from minigan.data import DataError, download, write_idx

# The package gives the name of the module to the function.
module = importlib.import_module("minigan.data.mnist")
REAL_FETCH = module.fetch


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """No download unless a test asks for it, and never into the user's cache."""
    pooch = pytest.importorskip("pooch")

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(module, "fetch", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.delenv("MINIGAN_DATA", raising=False)


def arrays(n=6, seed=0):
    rng = numpy.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 28, 28), dtype=numpy.uint8)
    return images, (numpy.arange(n) % 10).astype(numpy.uint8)


def write_split(folder, *, split="train", suffix=".gz", images=None, labels=None, seed=0):
    default_images, default_labels = arrays(seed=seed)
    stem = {"train": "train", "test": "t10k"}[split]
    folder.mkdir(parents=True, exist_ok=True)
    images = default_images if images is None else images
    labels = default_labels if labels is None else labels
    write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", labels)
    return images, labels


LOADERS = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "subfolder"),
    [
        ("mnist", "."),
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "."),
        ("fashion-mnist", "fashion-mnist"),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
def test_files_of_ones_own_are_read_from_the_usual_places(tmp_path, name, subfolder, suffix):
    images, labels = write_split(tmp_path / subfolder, suffix=suffix)
    dataset = LOADERS[name](data_dir=tmp_path)
    assert dataset.name == name
    assert dataset.images.dtype == numpy.uint8
    numpy.testing.assert_array_equal(dataset.images, images[..., None])
    numpy.testing.assert_array_equal(dataset.labels, labels)
    assert len(dataset.class_names) == 10
    assert str(tmp_path) in dataset.source


def test_the_splits_are_different_files(tmp_path):
    train, _ = write_split(tmp_path, seed=1)
    test, _ = write_split(tmp_path, split="test", seed=2)
    numpy.testing.assert_array_equal(data.mnist(data_dir=tmp_path).images[..., 0], train)
    numpy.testing.assert_array_equal(
        data.mnist(split="test", data_dir=tmp_path).images[..., 0], test
    )
    with pytest.raises(DataError, match=r"no split 'tset'.*did you mean 'test'"):
        data.mnist(split="tset", data_dir=tmp_path)


def test_the_environment_names_the_folder_and_the_argument_goes_before_it(tmp_path, monkeypatch):
    first, _ = write_split(tmp_path / "one", seed=1)
    second, _ = write_split(tmp_path / "two", seed=2)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "one"))
    numpy.testing.assert_array_equal(data.mnist().images[..., 0], first)
    numpy.testing.assert_array_equal(data.mnist(data_dir=tmp_path / "two").images[..., 0], second)


def test_each_family_prefers_its_own_subfolder_and_shuns_the_other(tmp_path):
    write_split(tmp_path, seed=1)
    fashion, _ = write_split(tmp_path / "fashion-mnist", seed=2)
    digits, _ = write_split(tmp_path / "mnist", seed=3)
    numpy.testing.assert_array_equal(data.fashion_mnist(data_dir=tmp_path).images[..., 0], fashion)
    numpy.testing.assert_array_equal(data.mnist(data_dir=tmp_path).images[..., 0], digits)
    numpy.testing.assert_array_equal(data.mnist(data_dir=tmp_path / "mnist").images[..., 0], digits)
    with pytest.raises(DataError, match="fashion-mnist is not in"):
        data.fashion_mnist(data_dir=tmp_path / "mnist")
    with pytest.raises(DataError, match="mnist is not in"):
        data.mnist(data_dir=tmp_path / "fashion-mnist")


def test_missing_files_are_named_with_the_place_they_belong(tmp_path):
    with pytest.raises(DataError) as caught:
        data.mnist(split="test", data_dir=tmp_path)
    for part in (
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        str(tmp_path),
        "--data-dir",
        "MINIGAN_DATA",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("gone", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_half_a_split_is_named(tmp_path, gone):
    write_split(tmp_path)
    (tmp_path / f"{gone}.gz").unlink()
    with pytest.raises(DataError, match=f"lacks {gone}.gz"):
        data.mnist(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": numpy.zeros((6, 32, 32), numpy.uint8)},
            r"uint8 of shape \(6, 32, 32\): uint8 of shape \(N, 28, 28\)",
        ),
        ({"images": numpy.zeros((6, 28, 28), numpy.int32)}, "contains int32"),
        (
            {
                "images": numpy.zeros((0, 28, 28), numpy.uint8),
                "labels": numpy.zeros(0, numpy.uint8),
            },
            r"shape \(0, 28, 28\)",
        ),
        ({"labels": numpy.zeros(5, numpy.uint8)}, r"shape \(5,\): uint8 of shape \(6,\) is needed"),
        ({"labels": numpy.zeros(6, numpy.int32)}, "contains int32"),
        ({"labels": numpy.full(6, 10, numpy.uint8)}, "the label 10: 0 to 9"),
    ],
)
def test_files_of_the_wrong_form_are_refused(tmp_path, change, message):
    write_split(tmp_path, **change)
    with pytest.raises(DataError, match=message):
        data.mnist(data_dir=tmp_path)


def test_a_truncated_file_is_refused_by_name(tmp_path):
    write_split(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        data.mnist(data_dir=tmp_path)


def published(tmp_path, monkeypatch, mirrors):
    """Make two small files the published MNIST, to be had from `mirrors`."""
    write_split(tmp_path / "published")
    hashes = {
        path.name.removesuffix(".gz"): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "published").iterdir()
    }
    family = module._MNIST
    changed = module._Family(
        family.name, family.source, family.folders, tuple(mirrors), hashes, family.class_names
    )
    monkeypatch.setattr(module, "_MNIST", changed)
    return {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}


def serve(monkeypatch, files):
    """Stand in for the network: `files` maps a URL to bytes or an exception."""
    asked = []

    def fetch(url, output, _):
        asked.append(url)
        answer = files.get(url, OSError(f"404 Client Error: Not Found for url: {url}"))
        if isinstance(answer, Exception):
            raise answer
        with open(output, "wb") as file:
            file.write(answer)

    monkeypatch.setattr(module, "fetch", fetch)
    return asked


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_downloads_land_whole_in_the_cache_and_are_not_repeated(tmp_path, monkeypatch):
    files = published(tmp_path, monkeypatch, ["https://a/"])
    asked = serve(monkeypatch, {f"https://a/{name}": content for name, content in files.items()})
    dataset = data.mnist()
    numpy.testing.assert_array_equal(dataset.images[..., 0], arrays()[0])
    assert cached(tmp_path) == sorted(files)
    assert len(asked) == 2
    data.mnist()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "broken",
    [
        OSError("connection refused"),
        b"<html>not here</html>",
        gzip.compress(b"another file", mtime=0),
    ],
)
def test_the_next_mirror_is_asked_when_one_fails_or_gives_something_else(
    tmp_path, monkeypatch, broken
):
    files = published(tmp_path, monkeypatch, ["https://a/", "https://b/"])
    answers = {f"https://a/{name}": broken for name in files}
    answers |= {f"https://b/{name}": content for name, content in files.items()}
    asked = serve(monkeypatch, answers)
    assert len(data.mnist()) == 6
    assert [url[:10] for url in asked] == ["https://a/", "https://b/"] * 2
    assert cached(tmp_path) == sorted(files)


def test_offline_one_sentence_says_what_to_put_where_and_nothing_is_left_behind(
    tmp_path, monkeypatch
):
    published(tmp_path, monkeypatch, ["https://a/", "https://b/"])
    serve(monkeypatch, {"https://a/train-images-idx3-ubyte.gz": b"half a fi"})
    with pytest.raises(DataError) as caught:
        data.mnist()
    message = str(caught.value)
    for part in (
        *(
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            str(tmp_path / "cache" / "mnist"),
        ),
        *("--data-dir", "MINIGAN_DATA", "a: wrong checksum", "b: 404 Client Error: Not Found"),
    ):
        assert part in message
    assert "\n" not in message
    assert cached(tmp_path) == []


@pytest.mark.parametrize("error", [OSError("long " * 50), OSError()])
def test_a_reason_that_is_too_long_or_empty_becomes_its_kind(tmp_path, monkeypatch, error):
    published(tmp_path, monkeypatch, ["https://a/"])
    serve(monkeypatch, {"https://a/train-images-idx3-ubyte.gz": error})
    with pytest.raises(DataError, match=r"\(a: OSError\)"):
        data.mnist()


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path, monkeypatch):
    files = published(tmp_path, monkeypatch, ["https://a/"])
    serve(monkeypatch, {f"https://a/{name}": content for name, content in files.items()})
    data.mnist()
    path = tmp_path / "cache" / "mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"rotten")
    assert len(data.mnist()) == 6
    assert path.read_bytes() == files[path.name]


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, monkeypatch):
    published(tmp_path, monkeypatch, ["https://a/"])

    def fetch(_url, output, _):
        with open(output, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fetch", fetch)
    with pytest.raises(KeyboardInterrupt):
        data.mnist()
    assert cached(tmp_path) == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_the_real_downloader_over_the_loopback(tmp_path, monkeypatch, capfd):
    handler = functools.partial(Quiet, directory=str(tmp_path / "published"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/"
        published(tmp_path, monkeypatch, [f"{base}nowhere/", base])
        monkeypatch.setattr(module, "fetch", REAL_FETCH)
        assert len(data.mnist()) == 6
        # The bar of a terminal goes through other code than the disabled one.
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        (tmp_path / "cache" / "mnist" / "train-images-idx3-ubyte.gz").unlink()
        assert len(data.mnist()) == 6
        assert "train-images-idx3-ubyte.gz: 100%" in capfd.readouterr().err
        server.shutdown()


def test_the_published_tables_are_complete():
    for family in (module._MNIST, module._FASHION):
        assert len(family.mirrors) >= 2
        assert all(mirror.endswith("/") for mirror in family.mirrors)
        assert set(family.sha256) == {name for names in module._FILES.values() for name in names}
        assert all(len(digest) == 64 for digest in family.sha256.values())


def test_names_with_a_dot_as_some_tools_unpack_them(tmp_path):
    write_idx(tmp_path / "train-images.idx3-ubyte", numpy.zeros((3, 28, 28), "uint8"))
    write_idx(tmp_path / "train-labels.idx1-ubyte", numpy.arange(3, dtype="uint8"))
    assert len(data.mnist(data_dir=tmp_path)) == 3


@pytest.mark.parametrize(
    ("images", "labels", "split"),
    [
        ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz", "train"),
        ("Train_Images.IDX3-ubyte", "train_labels.idx1_ubyte", "train"),
        ("train-images-idx3-ubyte/train-images-idx3-ubyte", "train-labels.idx1-ubyte", "train"),
        ("train-images.idx3-ubyte/train-images.idx3-ubyte", "train-labels.gz", "train"),
        ("test-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte", "test"),
        ("t10k-images", "test-labels", "test"),
    ],
)
def test_the_names_that_files_have_elsewhere(tmp_path, images, labels, split):
    for name, array in zip((images, labels), arrays(), strict=True):
        (tmp_path / "mnist" / name).parent.mkdir(parents=True, exist_ok=True)
        write_idx(tmp_path / "mnist" / name, array)
    dataset = data.mnist(split=split, data_dir=tmp_path)
    numpy.testing.assert_array_equal(dataset.images[..., 0], arrays()[0])
    numpy.testing.assert_array_equal(dataset.labels, arrays()[1])


@pytest.mark.parametrize("name", ["mnist.npz", "mnist_train.csv", "my-images.idx"])
def test_a_file_in_another_format_is_named(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=rf"is not in .* \(there is {name}, which may be given as"):
        data.mnist(data_dir=tmp_path)


# ---------------------------------------------------------------- servers that behave badly


def test_ones_own_mirrors_are_asked_first(tmp_path, monkeypatch):
    files = published(tmp_path, monkeypatch, ["https://a/"])
    monkeypatch.setenv("MINIGAN_MIRRORS", "https://x/data/, http://y")
    asked = serve(
        monkeypatch, {f"http://y/mnist/{name}": content for name, content in files.items()}
    )
    assert len(data.mnist()) == 6
    assert asked[:2] == [
        "https://x/data/mnist/train-images-idx3-ubyte.gz",
        "http://y/mnist/train-images-idx3-ubyte.gz",
    ]
    monkeypatch.setenv("MINIGAN_MIRRORS", "https://x")
    for path in (tmp_path / "cache").rglob("*.gz"):
        path.unlink()
    with pytest.raises(DataError, match=r"x: 404 .*; a: 404"):
        data.mnist()


@pytest.mark.parametrize("wrong", ["/data", "ftp://x", "server", "https://a server"])
def test_a_mirror_that_is_no_address(tmp_path, monkeypatch, wrong):
    published(tmp_path, monkeypatch, ["https://a/"])
    monkeypatch.setenv("MINIGAN_MIRRORS", wrong)
    with pytest.raises(DataError, match="MINIGAN_MIRRORS lists addresses that begin with https"):
        data.mnist()
    assert not (tmp_path / "cache").exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    files = published(tmp_path, monkeypatch, ["https://a/"])
    serve(monkeypatch, {f"https://a/{name}": content for name, content in files.items()})
    left = tmp_path / "cache" / "mnist" / ".download-abc"
    left.mkdir(parents=True)
    (left / "tmp123").write_bytes(b"half")
    # No folder, so that it can't be removed as one: it is left alone, and nothing fails.
    (tmp_path / "cache" / "mnist" / ".download-file").touch()
    data.mnist()
    found = {path.name for path in (tmp_path / "cache" / "mnist").iterdir()}
    assert found == {*files, ".download-file"}


def test_two_processes_download_one_after_the_other(tmp_path, monkeypatch):
    files = published(tmp_path, monkeypatch, ["https://a/"])
    asked = serve(monkeypatch, {f"https://a/{name}": content for name, content in files.items()})
    with ThreadPoolExecutor(4) as pool:
        assert [len(found) for found in pool.map(lambda _: data.mnist(), range(4))] == [6] * 4
    assert sorted(asked) == sorted(f"https://a/{name}" for name in files)


class Endless(Quiet):
    """Sends a byte now and then, or bytes without end, until it is told that it is enough."""

    enough = threading.Event()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        try:
            while not self.enough.is_set():
                self.wfile.write(b"x" if "drip" in self.path else b"x" * 2**16)
                if "drip" in self.path:
                    time.sleep(0.01)
        except OSError:  # nobody listens any more
            pass


@pytest.mark.parametrize(
    ("kind", "words"),
    [("drip", "not done after 0 seconds"), ("flood", "more than 1,000,000 bytes")],
)
def test_a_server_that_never_ends(tmp_path, monkeypatch, kind, words):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_DEADLINE", 0.3 if kind == "drip" else 60.0)
    monkeypatch.setattr(download, "_LARGEST", 1_000_000)
    Endless.enough.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        published(tmp_path, monkeypatch, [f"http://127.0.0.1:{server.server_port}/{kind}/"])
        monkeypatch.setattr(module, "fetch", REAL_FETCH)
        with pytest.raises(DataError, match=words):
            data.mnist()
        Endless.enough.set()
        server.shutdown()
    assert cached(tmp_path) == []
    for thread in threading.enumerate():  # the one that nobody waited for ends, too
        if thread.name == "minigan download":
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize("late", [True, False])
def test_a_download_that_nobody_waits_for_takes_no_more_bytes(tmp_path, monkeypatch, late):
    targets, over = [], threading.Event()

    def stream(url, target):
        targets.append(target)
        target.write(b"abc")
        if late:
            over.wait(20)

    monkeypatch.setattr(download, "_stream", stream)
    monkeypatch.setattr(download, "_DEADLINE", 0.05 if late else 20.0)
    if late:
        with pytest.raises(OSError, match="not done after 0 seconds"):
            download.fetch("https://server/x", tmp_path / "x", None)
    else:
        download.fetch("https://server/x", tmp_path / "x", None)
    assert (tmp_path / "x").read_bytes() == b"abc"
    with pytest.raises(OSError, match="more than"):
        targets[0].write(b"d")
    over.set()
