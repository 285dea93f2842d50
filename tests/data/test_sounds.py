"""Sounds: WAV files of all kinds, folders of them, tones, spoken digits."""

import re
import struct
import wave

import numpy
import pytest

from minigan import data, metrics
from minigan.data import waves
from minigan.data.loading import has_sounds

RATE = 8000


def sine(hertz=400.0, seconds=0.3, rate=RATE, amplitude=0.5):
    return amplitude * numpy.sin(2 * numpy.pi * hertz * numpy.arange(int(seconds * rate)) / rate)


def write(path, channels, *, rate=RATE, width=2):
    """Write channels of numbers in [-1, 1] as PCM of this many bytes."""
    whole = numpy.rint(numpy.stack(channels, axis=1) * (2 ** (8 * width - 1) - 1)).astype("<i8")
    raw = (whole + 128 * (width == 1)).reshape(-1, 1).view("u1").reshape(-1, 8)[:, :width]
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw.tobytes())
    return path


@pytest.mark.parametrize(("width", "off"), [(1, 0.01), (2, 1e-4), (3, 1e-6), (4, 1e-6)])
def test_pcm_of_every_width_is_read(width, off, tmp_path):
    left, right = sine(), sine(700)
    found, rate = data.read_wav(write(tmp_path / "x.wav", [left, right], width=width))
    assert rate == RATE
    assert found.shape == (len(left), 2)
    numpy.testing.assert_allclose(found, numpy.stack([left, right], axis=1), atol=off)


def with_header(path, *, kind, bits, channels, samples, extensible):
    """Write bytes of samples as a program other than `wave` does, with a chunk of odd length."""
    frame = bits // 8 * channels
    form = struct.pack("<HHLLHH", kind, channels, RATE, RATE * frame, frame, bits)
    if extensible:
        mark = bytes.fromhex("000000001000800000aa00389b71")
        form = struct.pack("<H", 0xFFFE) + form[2:]
        form += struct.pack("<HHLH", 22, bits, 3, kind) + mark
    body = b"WAVEfmt " + struct.pack("<L", len(form)) + form
    body += b"LIST" + struct.pack("<L", 3) + b"abc\0"
    body += b"data" + struct.pack("<L", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<L", len(body)) + body)
    return path


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("kind", "bits"), [(1, 16), (1, 32), (3, 32)])
def test_headers_of_other_programs_are_read(kind, bits, extensible, tmp_path):
    sounds = numpy.stack([sine(), sine(700)], axis=1)
    whole = sounds if kind == 3 else sounds * 2 ** (bits - 1)
    whole = whole.astype(f"<{'f' if kind == 3 else 'i'}{bits // 8}")
    path = with_header(
        tmp_path / "x.wav", kind=kind, bits=bits, channels=2, samples=whole.tobytes(),
        extensible=extensible,
    )  # fmt: skip
    found, rate = data.read_wav(path)
    assert rate == RATE
    numpy.testing.assert_allclose(found, sounds, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "bits", "channels", "words"),
    [(1, 24, 0, "no channels"), (3, 16, 1, "format 3 with 16 bits"), (6, 8, 1, "format 6 with 8")],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_what_else_a_header_says_is_refused(kind, bits, channels, words, extensible, tmp_path):
    path = with_header(
        tmp_path / "x.wav", kind=kind, bits=bits, channels=channels, samples=bytes(96),
        extensible=extensible,
    )  # fmt: skip
    with pytest.raises(data.DataError, match=rf"x\.wav cannot be read .*{words}"):
        data.read_wav(path)


def test_floats_that_are_no_numbers_are_refused(tmp_path):
    samples = numpy.array([0, numpy.nan, 1], "<f4").tobytes()
    path = with_header(
        tmp_path / "x.wav", kind=3, bits=32, channels=1, samples=samples, extensible=False
    )
    with pytest.raises(data.DataError, match="holds NaN or infinity"):
        data.read_wav(path)


def test_no_more_is_read_than_asked_for(tmp_path):
    path = write(tmp_path / "x.wav", [sine(seconds=2)])
    assert len(data.read_wav(path, seconds=0.5)[0]) == RATE // 2 + 1


@pytest.mark.parametrize(("channels", "width", "lost"), [(2, 2, 2), (2, 1, 1), (1, 3, 1)])
def test_of_a_file_that_is_cut_off_the_whole_frames_are_read(channels, width, lost, tmp_path):
    path = write(tmp_path / "x.wav", [sine()] * channels, width=width)
    whole, _ = data.read_wav(path)
    path.write_bytes(path.read_bytes()[:-lost])
    numpy.testing.assert_array_equal(data.read_wav(path)[0], whole[:-1])


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3 not a wav at all", None])
def test_what_is_no_wav_file_is_named(content, tmp_path):
    path = tmp_path / "x.wav"
    if content is None:
        write(path, [sine()])
        # The number of a format of floats in the place of PCM's.
        path.write_bytes(path.read_bytes().replace(b"fmt \x10\0\0\0\1\0", b"fmt \x10\0\0\0\3\0"))
    else:
        path.write_bytes(content)
    with pytest.raises(data.DataError, match=re.escape(str(path))) as refusal:
        data.read_wav(path)
    assert "()" not in str(refusal.value)


def test_sounds_come_back_from_a_file(tmp_path):
    sounds = numpy.stack([sine(), sine(500)])[..., None]
    data.write_wav(tmp_path / "x.wav", sounds, rate=RATE)
    found, rate = data.read_wav(tmp_path / "x.wav")
    gap = round(waves.GAP * RATE)
    assert (rate, found.shape) == (RATE, (2 * (sounds.shape[1] + gap), 1))
    numpy.testing.assert_allclose(found[: sounds.shape[1]], sounds[0], atol=1e-4)
    assert not found[sounds.shape[1] : sounds.shape[1] + gap].any()
    assert data.player(sounds, rate=RATE).startswith("<audio controls src='data:audio/wav;base64,")


@pytest.mark.parametrize(
    ("sounds", "words"), [(numpy.zeros((2, 3, 2)), "shape"), (numpy.full(9, numpy.nan), "NaN")]
)
def test_nothing_is_written_of_what_is_no_sound(sounds, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        data.write_wav(tmp_path / "x.wav", sounds, rate=RATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("before", "after"), [(44100, 8000), (8000, 16000), (11025, 8000)])
def test_a_sine_keeps_its_pitch_when_resampled(before, after):
    faded = numpy.hanning(int(0.5 * before)) * sine(440, 0.5, before)
    found = data.resampled(faded, before, after)
    expected = numpy.hanning(int(0.5 * before))
    t = numpy.arange(len(found)) / after
    expected = numpy.interp(t * before, numpy.arange(len(expected)), expected)
    numpy.testing.assert_allclose(
        found, expected * 0.5 * numpy.sin(2 * numpy.pi * 440 * t), atol=2e-3
    )


def test_what_the_new_rate_cannot_hold_does_not_fold_back():
    high = numpy.hanning(22050) * sine(6000, 0.5, 44100)
    assert abs(data.resampled(high, 44100, 8000)).max() < 1e-3


def test_a_spectrogram_shows_a_sine_at_its_place_and_loudness():
    found = data.spectrogram(sine(1000, 4096 / RATE, amplitude=1.0)[None, :, None])
    assert found.shape == (1, 64, 64, 1)
    # Rows of 62.5 Hz from below, the constant part left out.
    column = found[0, ::-1, 32, 0]
    assert column.argmax() == 1000 / 62.5 - 1
    assert column.max() == pytest.approx(1, abs=0.01)
    assert (data.spectrogram(numpy.zeros((2, 256, 1))) == -1).all()


def test_a_folder_is_converted_and_says_so(tmp_path):
    write(tmp_path / "low" / "a.wav", [sine(300, 1.0, 16000), sine(300, 1.0, 16000)], rate=16000)
    write(tmp_path / "high" / "b.WAV", [sine(900, 0.1, amplitude=0.1)], width=3)
    (tmp_path / "high" / "readme.txt").write_text("hello")
    (tmp_path / "low" / "broken.wav").write_bytes(b"RIFF")
    found = data.load(tmp_path)
    assert isinstance(found, data.Sounds)
    assert found.images.shape == (2, 4096, 1)
    assert found.class_names == ("high", "low")
    assert found.labels.tolist() == [0, 1]
    numpy.testing.assert_allclose(abs(found.images).max(axis=(1, 2)), 0.9, atol=0.02)
    said = "; ".join(found.notes)
    for words in (
        "1 sound resampled from 16,000 to 8,000 Hz", "1 sound mixed down from 2 channels",
        "1 sound cut to 4,096 samples", "1 sound padded with silence to 4,096 samples",
        "broken.wav cannot be read", "1 .txt", "same peak",
    ):  # fmt: skip
        assert words in said


def test_sounds_in_subfolders_that_are_no_classes_are_told(tmp_path):
    for name in ("high/a.wav", "low/b.wav"):
        write(tmp_path / name, [sine()])
    (tmp_path / "mid").mkdir()
    assert data.load(tmp_path).notes[-1] == "mid is no class: it holds no sound that can be read"
    write(tmp_path / "loose.wav", [sine()])
    found = data.load(tmp_path)
    assert found.labels is None
    assert "are no classes, since loose.wav lies beside them" in found.notes[-1]


def test_where_there_are_sounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "mnist" / "a.wav", [sine()])
    (tmp_path / "a.txt").write_text("hello")
    assert data.load(path).images.shape == (1, 4096, 1)
    found = {name: has_sounds(name) for name in ("./mnist", str(path), "mnist", "a.txt", "none")}
    # A data set's name takes precedence over a folder's.
    assert found == {
        "./mnist": True,
        str(path): True,
        "mnist": False,
        "a.txt": False,
        "none": False,
    }


def test_a_file_without_a_sound_is_refused(tmp_path):
    silent = write(tmp_path / "none.wav", [numpy.zeros(0)])
    still = write(tmp_path / "still.wav", [sine()])
    still.write_bytes(still.read_bytes().replace(RATE.to_bytes(4, "little"), bytes(4), 1))
    for path in (silent, still):
        with pytest.raises(data.DataError, match=r"(none|still)\.wav"):
            data.read_wav(path)


def test_a_rate_that_no_sound_has_is_refused_before_memory_is_asked_for(tmp_path):
    path = write(tmp_path / "fast.wav", [sine()])
    path.write_bytes(path.read_bytes().replace(RATE.to_bytes(4, "little"), b"\xff" * 4, 1))
    with pytest.raises(data.DataError, match=r"fast\.wav says that it has 4,294,967,295 samples"):
        data.sound_folder(tmp_path)


def test_a_folder_without_sounds_is_refused(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"x")
    with pytest.raises(data.DataError, match="no sounds"):
        data.sound_folder(tmp_path)


def test_tones_are_those_of_their_law():
    found = data.load("tones")
    assert found.images.shape == (2048, 4096, 1)
    assert repr(found) == "Sounds('tones': 2,048 sounds of 4,096 samples at 8,000 Hz)"
    numpy.testing.assert_array_equal(found.images, data.tones().images)
    assert abs(found.images).max() == pytest.approx(0.9)
    # A minor pentatonic over more than an octave from the A below middle C, equally tempered.
    numpy.testing.assert_allclose(
        found.notes_hz, [220, 261.626, 293.665, 329.628, 391.995, 440, 523.251, 587.33], atol=1e-3
    )
    assert "<audio" in found._repr_html_()
    # The last cycles are as good as silence, so that no tone ends with a click.
    assert abs(found.images[:, -1]).max() < 0.01
    with pytest.raises(ValueError, match="no images"):
        data.load("tones", image_shape=(8, 8, 1))


def test_tones_decay_and_sound_as_bright_as_they_say():
    """Brightness and decay are read from two stretches of a tone, of 512 samples each."""
    waves = data.tones(count=512).images
    pitch = metrics.pitches(waves, rate=RATE, low=180, high=700)
    t, window = numpy.arange(512) / RATE, numpy.hanning(512)

    def amplitude(hertz, begin):
        turning = numpy.exp(-2j * numpy.pi * hertz[:, None] * t)
        return abs((waves[:, begin : begin + 512, 0] * window * turning).sum(axis=1))

    first = amplitude(pitch, 0)
    decay = 512 / RATE / numpy.log(first / amplitude(pitch, 512))
    lasting = [(window * numpy.exp(-(k**0.5) * t / decay[:, None])).sum(axis=1) for k in (1, 2)]
    bright = amplitude(2 * pitch, 0) / first * lasting[0] / lasting[1]
    for found, low, high in ((bright, 0.2, 0.7), (decay, 0.08, 0.25)):
        share = (found - low) / (high - low)  # uniform in [0, 1]
        numpy.testing.assert_allclose([share.min(), share.max()], [0, 1], atol=0.02)
        assert share.mean() == pytest.approx(0.5, abs=0.05)


def spoken(root, **changes):
    """Write a file of eight recordings, a sine each, in the place of the real ones."""
    lengths = numpy.array([3000, 5000, 4096, 10] * 2)
    values = numpy.tile(sine(400, 12106 / RATE), 2)
    mu = numpy.rint(127 * numpy.sign(values) * numpy.log1p(255 * abs(values)) / numpy.log(256))
    arrays = {
        "mu_law": mu.astype("int8"), "lengths": lengths, "labels": numpy.arange(8) % 4,
        "takes": numpy.array([0, 5, 6, 7, 4, 9, 9, 9]),
    }  # fmt: skip
    numpy.savez(root / "spoken_digits.npz", **arrays | changes)
    return root


def test_spoken_digits_are_cut_padded_and_split(tmp_path):
    spoken(tmp_path)
    train, test = (
        data.load("spoken-digits", data_dir=tmp_path, split=s) for s in ("train", "test")
    )
    assert train.labels.tolist() == [1, 2, 3, 1, 2, 3]
    assert test.labels.tolist() == [0, 0]
    assert "2 sounds cut to 4,096 samples" in train.notes
    first = test.images[0, :3000, 0]
    numpy.testing.assert_allclose(first, first.max() / 0.5 * sine(400, 3000 / RATE), atol=0.03)
    assert not test.images[:, 3000:].any()


def test_spoken_digits_are_refused_where_they_are_not(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    with pytest.raises(data.DataError, match=r"datasets/spoken_digits\.py"):
        data.spoken_digits()
    lengths = numpy.array([3000.0, 5000, 4096, 10] * 2)
    for odd in (
        {"lengths": numpy.array([3])}, {"lengths": lengths}, {"labels": numpy.arange(3)},
        {"takes": numpy.arange(8.0)},
    ):  # fmt: skip
        spoken(tmp_path, **odd)
        with pytest.raises(data.DataError, match="add up"):
            data.spoken_digits(data_dir=tmp_path)
    spoken(tmp_path, mu_law=numpy.int8(0))
    with pytest.raises(data.DataError, match="'mu_law' is a single number"):
        data.spoken_digits(data_dir=tmp_path)
    with pytest.raises(ValueError, match="split"):
        data.spoken_digits(data_dir=tmp_path, split="valid")


@pytest.mark.parametrize(
    "images",
    [
        numpy.zeros((2, 8), "float32"), numpy.zeros((2, 8, 2), "float32"),
        numpy.zeros((2, 8, 1)), numpy.full((2, 8, 1), 2, "float32"),
    ],
)  # fmt: skip
def test_what_are_no_sounds_is_refused(images):
    with pytest.raises(ValueError, match="the sounds of 'x'"):
        data.Sounds("x", images)
