"""A tune for struck wooden bars over four soft chords."""

import math
import subprocess

import numpy as np

BEAT = 0.5
# (beat, length, MIDI note): a tune over four chords.
TUNE = [
    (0, 1, 74),
    (1, 0.5, 76),
    (1.5, 0.5, 78),
    (2, 1, 81),
    (3, 1, 78),
    (4, 1.5, 79),
    (5.5, 0.5, 78),
    (6, 1, 76),
    (7, 1, 71),
    (8, 1, 73),
    (9, 0.5, 76),
    (9.5, 0.5, 78),
    (10, 1, 79),
    (11, 1, 76),
    (12, 0.5, 78),
    (12.5, 0.5, 76),
    (13, 1, 74),
    (14, 3, 74),
]
CHORDS = [(0, (50, 57, 62, 66)), (4, (43, 55, 59, 62)), (8, (45, 57, 61, 64)), (12, (50, 57, 62, 66))]


def melody(target):
    rate, rng = 44100, np.random.default_rng(11)
    sound = np.zeros(int(rate * 10))
    for beat, length, note in TUNE:
        add(sound, rate, beat * BEAT, mallet(rate, note, 0.5 + length * 0.7), 0.42)
    for beat, chord in CHORDS:
        add(sound, rate, beat * BEAT, pad(rate, chord, 4.6 * BEAT), 0.16)
        for i, note in enumerate((chord[0], chord[1], chord[2], chord[1])):
            add(sound, rate, (beat + i) * BEAT, mallet(rate, note, 1.0), 0.26)
    n = int(rate * 1.4)
    room = rng.normal(0, 1, n) * np.exp(-np.arange(n) / rate / 0.28)
    size = len(sound) + n
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)[: len(sound)]
    sound = sound + 0.2 * wet / np.abs(wet).max() * np.abs(sound).max()
    sound *= np.minimum(1, np.linspace(len(sound) / rate / 0.8, 0, len(sound)))
    pcm = (sound / np.abs(sound).max() * 0.86 * 32767).astype("<i2").tobytes()
    source = f"ffmpeg -loglevel error -y -f s16le -ar {rate} -ac 1 -i -".split()
    target_options = ["-c:a", "libmp3lame", "-b:a", "80k", "-write_xing", "1", "-id3v2_version", "0"]
    subprocess.run([*source, *target_options, target], input=pcm, check=True)


def add(sound, rate, at, tone, volume):
    start = int(at * rate)
    tone = tone[: max(0, len(sound) - start)]
    sound[start : start + len(tone)] += tone * volume


def mallet(rate, note, length):
    """A struck wooden bar: a tone, its fourth and tenth partial, each dying faster than the one below."""
    t = np.arange(int(rate * (length + 0.6))) / rate
    f = 440 * 2 ** ((note - 69) / 12)
    tone = sum(
        a * np.sin(2 * math.pi * f * k * t) * np.exp(-t * d)
        for k, a, d in [(1, 1, 3.2), (2, 0.12, 5), (3.93, 0.34, 11), (9.6, 0.1, 30)]
    )
    return tone * np.minimum(1, t / 0.003) * np.minimum(1, (t[-1] - t) / 0.05)


def pad(rate, chord, length):
    t = np.arange(int(rate * length)) / rate
    swell = np.minimum(1, t / 0.5) * np.minimum(1, (t[-1] - t) / 0.5)
    tone = np.zeros_like(t)
    for note in chord:
        for detune in (-0.06, 0.05):
            f = 440 * 2 ** ((note + detune - 69) / 12)
            tone += sum(np.sin(2 * math.pi * f * k * t) / k**2.2 for k in (1, 2, 3, 4))
    return tone * swell / len(chord)
