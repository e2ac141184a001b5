"""A fluorescence micrograph: nuclei in blue, fibres in green, vesicles in red."""

import math

import numpy as np
from drawing import grain, noise
from PIL import Image, ImageDraw, ImageFilter, ImageFont


def cells(target):
    rng = np.random.default_rng(21)
    w, h = 1200, 800
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    warp_x, warp_y = (noise((h, w), 46, rng) - 0.5) * 26, (noise((h, w), 46, rng) - 0.5) * 26
    fine = noise((h, w), 9, rng)
    body, fibre, nucleus, dots = (np.zeros((h, w), np.float32) for _ in range(4))
    for cx, cy in scattered(rng, w, h, 112):
        reach, angle, squeeze = rng.uniform(82, 112), rng.uniform(0, math.pi), rng.uniform(0.62, 0.92)
        top, left = max(0, int(cy - 190)), max(0, int(cx - 190))
        part = np.s_[top : int(cy + 190), left : int(cx + 190)]
        dx, dy = x[part] + warp_x[part] - cx, y[part] + warp_y[part] - cy
        u = dx * math.cos(angle) + dy * math.sin(angle)
        v = (dy * math.cos(angle) - dx * math.sin(angle)) / squeeze
        r, t = np.hypot(u, v), np.arctan2(v, u)
        wave = sum(rng.normal(0, 0.09) * np.cos(k * t + rng.uniform(0, 6.3)) for k in (2, 3, 4, 5))
        edge = reach * (1 + wave)
        inside = step(edge - r, 3.2)
        rim = np.exp(-(((r - edge + 5) / 5.5) ** 2))
        strands = np.zeros_like(r)
        for _ in range(3):
            a = rng.uniform(0, math.pi)
            across = u * math.cos(a) + v * math.sin(a) + (fine[part] - 0.5) * 10
            strands += np.maximum(0, np.sin(across / rng.uniform(2.2, 3.4))) ** 6 * 0.34
        light = rng.uniform(0.7, 1.1)
        body[part] = np.maximum(body[part], inside * light * (0.30 + 0.2 * fine[part]))
        fibre[part] = np.maximum(
            fibre[part], light * (inside * strands * (0.3 + r / reach * 0.75) + rim * 0.75)
        )
        size = rng.uniform(25, 35)
        core_edge = size * (1 + 0.35 * wave)
        core = step(core_edge - np.hypot(u * 0.9, v), 1.6)
        chromatin = 0.62 + 0.45 * noise(core.shape, 7, rng) - 0.35 * noise(core.shape, 13, rng)
        nucleus[part] = np.maximum(nucleus[part], core * chromatin * rng.uniform(0.85, 1.2))
        for _ in range(rng.integers(26, 44)):
            a, d = rng.uniform(0, 2 * math.pi), rng.normal(size + 22, 11)
            px, py = cx + d * math.cos(a), cy + d * math.sin(a) * 0.9
            spot(dots, px, py, rng.uniform(1.3, 2.6), rng.uniform(0.4, 1.0))
    fibre *= 1 - 0.75 * np.clip(nucleus, 0, 1)
    channels = [
        (body, (14, 92, 66)),
        (fibre, (64, 232, 148)),
        (nucleus, (66, 112, 255)),
        (dots, (255, 92, 66)),
    ]
    picture = np.full((h, w, 3), (5, 8, 14), np.float32)
    for light, colour in channels:
        image = Image.fromarray((np.clip(light, 0, 1.4) * 182).astype(np.uint8))
        soft, haze = (
            np.asarray(image.filter(ImageFilter.GaussianBlur(b)), np.float32) / 182 for b in (0.8, 12)
        )
        picture += (soft + 0.22 * haze)[..., None] * np.array(colour, np.float32)
    picture = 255 * (1 - np.exp(-picture / 175))
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle([w - 190, h - 44, w - 40, h - 38], fill=(240, 244, 250))
    pen.text((w - 115, h - 60), "0.02 mm", font=ImageFont.load_default(24), fill=(240, 244, 250), anchor="mm")
    grain(image, 1.6, rng).save(target, quality=72, method=6)


def step(distance, softness):
    """0 outside, 1 inside, soft at the edge."""
    return 1 / (1 + np.exp(np.clip(-distance / softness, -30, 30)))


def scattered(rng, w, h, apart):
    """Points that keep a distance from each other, some beyond the edge."""
    points = []
    for _ in range(4000):
        p = rng.uniform(-30, w + 30), rng.uniform(-30, h + 30)
        if all(math.dist(p, q) > apart * rng.uniform(1.05, 1.35) for q in points):
            points.append(p)
    return points


def spot(field, cx, cy, radius, light):
    h, w = field.shape
    x0, y0 = int(cx) - 8, int(cy) - 8
    if not (0 <= x0 and x0 + 17 <= w and 0 <= y0 and y0 + 17 <= h):
        return
    y, x = np.mgrid[y0 : y0 + 17, x0 : x0 + 17]
    field[y0 : y0 + 17, x0 : x0 + 17] += light * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2)))
