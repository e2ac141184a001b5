"""A canvas with smooth edges, and the few shapes, curves and noises that the pictures are made of."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter


class Canvas:
    """An RGB picture drawn at a multiple of its size and scaled down at the end, for smooth edges."""

    def __init__(self, width, height, scale=2, ground=(0, 0, 0)):
        self.size, self.scale = (width, height), scale
        self.image = Image.new("RGB", (width * scale, height * scale), ground)

    def shape(self, draw_on, blur=0.0, opacity=1.0):
        """Lets `draw_on(pen)` paint a layer, and lays it over the picture."""
        layer = Image.new("RGBA", self.image.size)
        draw_on(Pen(layer, self.scale))
        if blur:
            layer = layer.filter(ImageFilter.GaussianBlur(blur * self.scale))
        if opacity < 1:
            layer.putalpha(layer.getchannel("A").point(lambda a: int(a * opacity)))
        self.image.paste(layer, (0, 0), layer)

    def glow(self, draw_on, blur, strength=1.0):
        """Adds light: what `draw_on(pen)` paints is blurred and screened over the picture."""
        layer = Image.new("RGBA", self.image.size, (0, 0, 0, 255))
        draw_on(Pen(layer, self.scale))
        small = layer.convert("RGB").resize(self.size)
        small = small.filter(ImageFilter.GaussianBlur(blur)).point(lambda v: min(255, int(v * strength)))
        self.image = ImageChops.screen(self.image, small.resize(self.image.size, Image.BICUBIC))

    def done(self):
        return self.image.resize(self.size, Image.LANCZOS)


class Pen:
    """ImageDraw in the picture's own coordinates."""

    def __init__(self, image, scale):
        self.draw, self.scale = ImageDraw.Draw(image), scale

    def at(self, points):
        return [(x * self.scale, y * self.scale) for x, y in points]

    def box(self, x, y, w, h, fill, radius=0):
        corners = [x * self.scale, y * self.scale, (x + w) * self.scale - 1, (y + h) * self.scale - 1]
        self.draw.rounded_rectangle(corners, radius * self.scale, fill=fill)

    def poly(self, points, fill):
        self.draw.polygon(self.at(points), fill=fill)

    def blob(self, points, fill):
        """A closed smooth curve through the points."""
        self.poly(smooth(points), fill)

    def oval(self, cx, cy, rx, ry, fill):
        x, y, rx, ry = (v * self.scale for v in (cx, cy, rx, ry))
        self.draw.ellipse([x - rx, y - ry, x + rx, y + ry], fill=fill)

    def line(self, points, fill, width):
        self.draw.line(self.at(points), fill=fill, width=max(1, round(width * self.scale)), joint="curve")
        for x, y in (points[0], points[-1]):
            self.oval(x, y, width / 2, width / 2, fill)

    def arc(self, cx, cy, r, start, end, fill, width):
        box = [v * self.scale for v in (cx - r, cy - r, cx + r, cy + r)]
        self.draw.arc(box, start, end, fill=fill, width=round(width * self.scale))


def smooth(points, steps=12):
    """A closed Catmull-Rom curve."""
    p = np.asarray(points, float)
    a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return [tuple(q) for q in curve.transpose(1, 0, 2).reshape(-1, 2)]


def shade(colour, by):
    return tuple(max(0, min(255, round(v * by))) for v in colour)


def gradient(size, stops):
    """A vertical gradient through (position 0..1, colour) stops."""
    y = np.linspace(0, 1, size[1])
    at, colours = [s[0] for s in stops], np.array([s[1] for s in stops], float)
    column = np.stack([np.interp(y, at, colours[:, i]) for i in range(3)], 1)
    return Image.fromarray(np.repeat(column[:, None], size[0], 1).astype(np.uint8))


def noise(shape, cell, rng):
    """Smooth noise in 0..1 whose bumps are about `cell` pixels wide."""
    small = rng.random((math.ceil(shape[0] / cell) + 2, math.ceil(shape[1] / cell) + 2)).astype(np.float32)
    big = Image.fromarray(small).resize((small.shape[1] * cell, small.shape[0] * cell), Image.BICUBIC)
    return np.asarray(big)[cell // 2 : cell // 2 + shape[0], cell // 2 : cell // 2 + shape[1]]


def grain(image, amount, rng):
    """Sensor noise and a darker rim."""
    pixels = np.asarray(image, float)
    h, w = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    pixels = pixels * (1 - 0.16 * (x * x + y * y) ** 1.5 / 2.8)[..., None]
    pixels += rng.normal(0, amount, (h, w, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
