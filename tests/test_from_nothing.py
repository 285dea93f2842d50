"""The whole GAN in one file: short, right, and its picture shows all eight Gaussians."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy
from PIL import Image

FILE = Path(__file__).parent.parent / "tutorials" / "gan_from_nothing.py"


def test_it_is_short_and_needs_numpy_alone():
    lines = FILE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100
    imported = [line for line in lines if line.startswith(("import", "from"))]
    assert imported == ["import struct", "import sys", "import zlib", "import numpy as np"]


def test_its_gradients_are_right_and_a_mistake_would_show():
    spec = importlib.util.spec_from_file_location("gan_from_nothing", FILE)
    gan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gan)
    rng = numpy.random.default_rng(0)
    nets = gan.Net(8, 6, 5, 2, rng), gan.Net(2, 6, 5, 1, rng)
    z, real = rng.standard_normal((5, 8)), gan.data(5, rng)
    assert gan.check_gradients(*nets, z, real, rng) < 1e-5
    gan.LeakyReLU.backward = lambda self, dy, x: dy
    assert gan.check_gradients(*nets, z, real, rng) > 1e-2


def test_its_samples_reach_every_gaussian(tmp_path):
    # One thread: products this small gain nothing from a second, and lose much on a busy machine.
    one = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, FILE, "1"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, env=one)
    with Image.open(tmp_path / "gan_from_nothing.png") as picture:
        pixels = numpy.asarray(picture).astype(int)
    rows, columns = numpy.nonzero(pixels[..., 0] > pixels[..., 1])
    points = numpy.stack([columns - 150, 150 - rows], axis=1) / 100
    angles = numpy.arange(8) * numpy.pi / 4
    centres = numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1)
    distances = numpy.sqrt(((points[:, None] - centres) ** 2).sum(axis=2))
    assert (distances < 0.25).any(axis=0).all()
