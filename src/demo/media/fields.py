"""Farmland from above: parcels, a river, a road, two farms."""

import math

import numpy as np
from drawing import Canvas, noise, shade, smooth
from PIL import Image

CROPS = [
    (150, 166, 84),
    (118, 146, 74),
    (196, 176, 104),
    (170, 128, 84),
    (134, 106, 78),
    (98, 132, 76),
    (206, 190, 130),
    (126, 156, 92),
    (182, 152, 92),
    (88, 118, 66),
]


def fields(target):
    rng = np.random.default_rng(5)
    w, h = 1080, 720
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    # Straight field edges: cells of the nearest seed in a stretched, turned space.
    turned_x, turned_y = x * 0.94 + y * 0.34, (y * 0.94 - x * 0.34) * 1.35
    seeds = np.array(
        [
            (i * 168 + rng.uniform(-46, 46), j * 186 + rng.uniform(-50, 50))
            for i in range(-1, 9)
            for j in range(-4, 8)
        ]
    )
    distance = np.hypot(turned_x[..., None] - seeds[:, 0], turned_y[..., None] - seeds[:, 1])
    order = np.argpartition(distance, 1, axis=2)[..., :2]
    nearest = np.take_along_axis(distance, order, 2)
    gap = np.abs(nearest[..., 1] - nearest[..., 0])
    owner = np.where(nearest[..., 0] <= nearest[..., 1], order[..., 0], order[..., 1])
    picture = np.zeros((h, w, 3), np.float32)
    soft = noise((h, w), 60, rng) * 0.16 + 0.92
    for i in range(len(seeds)):
        mine = owner == i
        if not mine.any():
            continue
        a, pitch = rng.choice([0.34, 0.34 + math.pi / 2, rng.uniform(0, math.pi)]), rng.uniform(5, 10)
        rows = np.sin((x[mine] * math.cos(a) + y[mine] * math.sin(a)) * 2 * math.pi / pitch)
        tone = 1 + rng.choice([0.03, 0.06, 0.1]) * np.sign(rows)
        picture[mine] = np.array(CROPS[rng.integers(len(CROPS))]) * (tone * soft[mine])[:, None]
    picture[gap < 9] = (104, 124, 72)
    picture[gap < 3.2] = (172, 156, 120)
    c = Canvas(w, h)
    c.image = Image.fromarray(picture.clip(0, 255).astype(np.uint8)).resize(c.image.size, Image.LANCZOS)
    irrigated(c, 250, 190, 104)
    irrigated(c, 842, 560, 88)
    river(c, rng)
    road(c)
    hedges(c, rng, gap)
    farm(c, rng, 660, 236, 1)
    farm(c, rng, 356, 566, -1)
    # A palette keeps the PNG small; the stripes are flat anyway.
    c.done().quantize(112, Image.MEDIANCUT, kmeans=2, dither=Image.NONE).save(target, optimize=True)


def irrigated(c, cx, cy, r):
    """A pivot-irrigated circle."""

    def paint(p):
        p.oval(cx, cy, r, r, (96, 140, 70))
        for i in range(int(r / 9)):
            p.arc(cx, cy, r - 5 - i * 9, 0, 360, (108, 154, 78), 3.4)
        p.poly(
            [
                (cx, cy),
                (cx + r * math.cos(0.4), cy + r * math.sin(0.4)),
                (cx + r * math.cos(0.75), cy + r * math.sin(0.75)),
            ],
            (80, 122, 62),
        )
        p.line([(cx, cy), (cx + r * math.cos(0.4), cy + r * math.sin(0.4))], (226, 230, 226), 1.8)
        p.oval(cx, cy, 3, 3, (236, 238, 236))

    c.shape(paint)


def river(c, rng):
    along = [(-40 + i * 40, 392 + 66 * math.sin(i / 3.3) + 26 * math.sin(i / 1.27 + 1)) for i in range(31)]
    for width, colour, blur in [
        (58, (96, 116, 66), 2.5),
        (44, (164, 158, 118), 1),
        (36, (70, 122, 142), 0.6),
        (20, (56, 104, 130), 3),
    ]:
        c.shape(
            lambda p, width=width, colour=colour: [
                p.oval(*at, width / 2, width / 2, colour) for at in bend(along)
            ],
            blur=blur,
        )

    def trees(p):
        for px, py in bend(along)[::3]:
            for side in (-1, 1):
                if rng.random() < 0.5:
                    crown(p, rng, px + rng.normal(0, 6), py + side * rng.uniform(28, 40), rng.uniform(5, 10))

    c.shape(trees)


def bend(points):
    """An open smooth line through the points."""
    return smooth(points)[: (len(points) - 1) * 12]


def road(c):
    way = bend([(430, -30), (452, 120), (520, 300), (560, 400), (566, 520), (600, 640), (640, 760)])
    c.shape(lambda p: p.line(way, (196, 184, 152), 21), blur=0.8)
    c.shape(lambda p: p.line(way, (112, 112, 116), 15))

    def marks(p):
        for i in range(0, len(way) - 3, 4):
            p.line(way[i : i + 2], (226, 224, 212), 1.6)
        for i, colour in [
            (10, (214, 68, 60)),
            (27, (240, 240, 240)),
            (48, (66, 98, 160)),
            (63, (240, 240, 240)),
        ]:
            (x0, y0), (x1, y1) = way[i], way[i + 1]
            d = math.hypot(x1 - x0, y1 - y0)
            ux, uy = (x1 - x0) / d, (y1 - y0) / d
            ox, oy = -uy * 3.8, ux * 3.8
            p.line([(x0 + ox, y0 + oy), (x0 + ox + ux * 9, y0 + oy + uy * 9)], colour, 5.6)
            p.line(
                [(x0 + ox + ux * 4, y0 + oy + uy * 4), (x0 + ox + ux * 6, y0 + oy + uy * 6)], (40, 50, 64), 4
            )

    c.shape(marks)


def crown(p, rng, x, y, r):
    p.oval(x + r * 0.55, y + r * 0.55, r, r, (48, 62, 44, 120))
    p.oval(x, y, r, r, shade((70, 100, 58), rng.uniform(0.85, 1.15)))
    p.oval(x - r * 0.28, y - r * 0.28, r * 0.55, r * 0.55, shade((98, 132, 74), rng.uniform(0.9, 1.1)))


def hedges(c, rng, gap):
    ground = np.asarray(c.image.resize(c.size), int)
    y, x = np.mgrid[0 : c.size[1], 0 : c.size[0]]
    water = ground[..., 2] > ground[..., 0]
    watered = (np.hypot(x - 250, y - 190) < 112) | (np.hypot(x - 842, y - 560) < 96)
    ys, xs = np.nonzero((gap > 5) & (gap < 8) & ~water & ~watered)
    keep = rng.choice(len(xs), 340, replace=False)

    def paint(p):
        for i in keep:
            crown(p, rng, xs[i], ys[i], rng.uniform(3.4, 7))

    c.shape(paint)


def farm(c, rng, x, y, way):
    def paint(p):
        p.blob([(x - 80, y - 40), (x + 60, y - 52), (x + 84, y + 34), (x - 50, y + 56)], (188, 170, 130))
        for bx, by, bw, bh, roof in [
            (-56, -30, 62, 26, (178, 84, 66)),
            (22, -36, 30, 44, (150, 152, 158)),
            (-40, 14, 46, 22, (120, 70, 60)),
        ]:
            bx = bx if way > 0 else -bx - bw
            p.poly(
                [
                    (x + bx + 9, y + by + 9),
                    (x + bx + bw + 9, y + by + 9),
                    (x + bx + bw + 9, y + by + bh + 9),
                    (x + bx + 9, y + by + bh + 9),
                ],
                (70, 64, 52, 150),
            )
            p.box(x + bx, y + by, bw, bh, roof)
            if bw > bh:
                p.box(x + bx, y + by + bh / 2, bw, bh / 2, shade(roof, 0.8))
            else:
                p.box(x + bx + bw / 2, y + by, bw / 2, bh, shade(roof, 0.8))
        sx = x + 62 * way
        p.oval(sx + 5, y + 26, 11, 11, (70, 64, 52, 150))
        p.oval(sx, y + 21, 11, 11, (206, 208, 212))
        p.oval(sx - 2, y + 19, 5, 5, (236, 238, 240))
        for _ in range(9):
            crown(
                p,
                rng,
                x + rng.uniform(-86, 90),
                y + rng.choice([-62, 66]) + rng.normal(0, 7),
                rng.uniform(6, 10),
            )

    c.shape(paint)
