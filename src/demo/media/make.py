#!/usr/bin/env python3
"""Makes the demo's sample media: three still images, a melody, a video, and the object nobody may see.

Everything is drawn or synthesised here from fixed seeds. Needs numpy, Pillow and ffmpeg:

    apt-get install ffmpeg && pip install numpy pillow && ./make.py [file ...]

Sizes matter: the files are compiled into the binary, all together less than 1.5 MiB.
"""

import pathlib
import sys

from cells import cells
from crossing import crossing
from drawing import Canvas
from fields import fields
from melody import melody
from PIL import ImageDraw, ImageFont
from street import street


def secret(target):
    """The object of task 8."""
    c = Canvas(480, 300, 2, (120, 24, 32))
    c.shape(
        lambda p: [
            p.poly([(x, 0), (x + 26, 0), (x - 274, 300), (x - 300, 300)], (134, 32, 40))
            for x in range(0, 900, 52)
        ]
    )
    image = c.done()
    pen = ImageDraw.Draw(image)
    for y, size, text in [(118, 44, "task 8"), (176, 21, "If you can see this, the gate is open.")]:
        pen.text((240, y), text, font=ImageFont.load_default(size), fill=(255, 236, 226), anchor="mm")
    image.quantize(24).save(target, optimize=True)


SAMPLES = {
    "street.jpg": street,
    "cells.webp": cells,
    "fields.png": fields,
    "melody.mp3": melody,
    "crossing.mp4": crossing,
    "secret.png": secret,
}

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for name in sys.argv[1:] or SAMPLES:
        SAMPLES[name](here / name)
