"""A side street at dusk: cars, a bus, people, a signal to draw boxes around."""

import math

import numpy as np
from drawing import Canvas, gradient, grain, shade
from PIL import ImageChops, ImageFilter

LIT = (255, 214, 138)


def street(target):
    rng = np.random.default_rng(7)
    c = Canvas(1200, 800)
    sky = [
        (0, (38, 50, 92)),
        (0.3, (104, 92, 138)),
        (0.5, (226, 148, 118)),
        (0.6, (250, 196, 138)),
        (1, (250, 196, 138)),
    ]
    c.image.paste(gradient(c.image.size, sky))
    c.glow(lambda p: p.oval(905, 420, 190, 120, (255, 190, 110)), 90, 0.8)
    clouds(c, rng)
    skyline(c, rng)
    x = -30
    for i, (colour, floors, width) in enumerate(
        [
            ((142, 82, 72), 4, 205),
            ((196, 144, 92), 3, 190),
            ((66, 104, 118), 5, 215),
            ((206, 184, 148), 3, 180),
            ((112, 76, 104), 4, 225),
            ((120, 126, 146), 5, 235),
        ]
    ):
        house(c, rng, x, width, floors, colour, i)
        x += width
    pavement(c, rng)
    for x, y, size in [(118, 588, 1.0), (560, 586, 1.12), (1022, 590, 0.95)]:
        tree(c, rng, x, y, size)
    for x in (352, 838):
        lamp(c, x)
    people = [
        (232, 622, 74, (178, 58, 66), (44, 48, 66), 1),
        (262, 625, 70, (232, 196, 120), (70, 54, 70), 0),
        (472, 618, 70, (70, 128, 120), (38, 42, 60), 1),
        (716, 624, 75, (236, 228, 214), (66, 78, 120), 0),
        (932, 620, 72, (214, 122, 72), (52, 46, 58), 1),
        (1150, 626, 50, (110, 150, 200), (60, 60, 80), 0),
    ]
    for figure in people:
        person(c, *figure)
    car(c, 640, 690, 0.92, (196, 62, 58), -1)
    bus(c, 60, 690)
    cyclist(c, 1010, 716)
    car(c, 270, 778, 1.22, (226, 178, 70), 1)
    car(c, 800, 780, 1.25, (70, 122, 168), 1)
    signal(c, 438, 640)
    image = c.done()
    bright = image.point(lambda v: max(0, v - 150) * 2).filter(ImageFilter.GaussianBlur(9))
    grain(ImageChops.screen(image, bright.point(lambda v: v // 4)), 2.2, rng).save(
        target, quality=80, optimize=True, progressive=True, subsampling=2
    )


def clouds(c, rng):
    def paint(p):
        for cx, cy, w in [
            (220, 120, 150),
            (520, 70, 110),
            (760, 190, 170),
            (1080, 110, 120),
            (400, 240, 120),
        ]:
            for _ in range(9):
                p.oval(
                    cx + rng.normal(0, w / 2.2),
                    cy + rng.normal(0, 9),
                    w / 3 * rng.uniform(0.6, 1.2),
                    10 * rng.uniform(0.6, 1.4),
                    (255, 190, 170, 105),
                )

    c.shape(paint, blur=9)


def skyline(c, rng):
    def paint(p):
        for x in range(-20, 1220, 46):
            h = rng.uniform(90, 260)
            p.box(x, 500 - h, 62, h + 60, shade((104, 84, 122), rng.uniform(0.9, 1.1)))
            for _ in range(5):
                p.box(x + rng.integers(6, 50), 500 - h + rng.integers(10, 90), 4, 6, (250, 196, 140, 150))

    c.shape(paint, blur=1.2, opacity=0.85)


def house(c, rng, x, w, floors, colour, style):
    top, base = 470 - floors * 68, 566

    def paint(p):
        p.box(x, top, w, base - top, colour)
        p.poly([(x, top), (x + 16, top), (x + 16, base), (x, base)], shade(colour, 0.86))
        p.box(x - 4, top - 12, w + 8, 16, shade(colour, 1.18), 2)
        p.box(x - 4, top + 4, w + 8, 4, shade(colour, 0.66))
        if style % 2:
            for cx in (x + w * 0.25, x + w * 0.7):
                p.box(cx, top - 40, 20, 30, shade(colour, 0.7))
                p.box(cx - 3, top - 44, 26, 6, shade(colour, 0.55))
        columns = w // 52
        gap = (w - columns * 32) / (columns + 1)
        for floor in range(floors):
            y = top + 26 + floor * 68
            for column in range(columns):
                window(p, rng, x + gap + column * (32 + gap), y, colour, style)
        shop(p, rng, x, w, base, colour, style)

    c.shape(paint)
    c.glow(lambda p: p.box(x + 24, base - 62, w - 48, 52, (150, 104, 48)), 20, 0.75)


def window(p, rng, x, y, colour, style):
    lit = rng.random() < 0.36
    glass = shade(LIT, rng.uniform(0.82, 1.0)) if lit else shade((62, 74, 112), rng.uniform(0.8, 1.15))
    p.box(x - 4, y - 4, 40, 54, shade(colour, 1.25), 2)
    p.box(x, y, 32, 44, glass)
    if not lit:
        p.poly([(x, y), (x + 20, y), (x, y + 30)], shade(glass, 1.3))
    elif rng.random() < 0.6:
        p.box(x, y, 8, 44, (214, 120, 84))
        p.box(x + 24, y, 8, 44, (214, 120, 84))
    p.box(x + 15, y, 2.5, 44, shade(colour, 1.25))
    p.box(x, y + 16, 32, 2.5, shade(colour, 1.25))
    p.box(x - 6, y + 46, 44, 5, shade(colour, 0.7))
    if style % 3 == 0 and not lit:
        for i in range(5):
            p.oval(x + 2 + i * 7, y + 45, 5, 4, shade((120, 156, 90), rng.uniform(0.7, 1.2)))


def shop(p, rng, x, w, base, colour, style):
    p.box(x, base - 92, w, 92, shade(colour, 0.62))
    p.box(x + 14, base - 70, w - 74, 58, LIT)
    for i in range(int((w - 90) / 26)):
        h = rng.uniform(14, 34)
        p.box(x + 22 + i * 26, base - 12 - h, 14, h, shade((150, 96, 74), rng.uniform(0.6, 1.4)), 3)
    p.box(x + w - 50, base - 74, 36, 74, shade(colour, 0.4))
    p.box(x + w - 45, base - 69, 26, 44, (252, 226, 168))
    stripes = [(210, 78, 66), (58, 118, 112), (222, 160, 66), (88, 96, 158)][style % 4]
    n = int((w - 16) / 18)
    for i in range(n):
        fill = stripes if i % 2 else (240, 230, 212)
        left = x + 8 + i * 18
        p.poly(
            [(left, base - 92), (left + 18, base - 92), (left + 19, base - 70), (left - 1, base - 70)], fill
        )
        p.oval(left + 9, base - 70, 9.5, 5, fill)


def pavement(c, rng):
    def paint(p):
        p.box(0, 562, 1200, 66, (138, 128, 140))
        for x in range(-40, 1260, 54):
            p.line([(x, 564), (x - 22, 624)], (116, 106, 122), 1.4)
        for y in (580, 600):
            p.line([(0, y), (1200, y)], (118, 108, 124), 1.2)
        p.box(0, 622, 1200, 8, (172, 164, 170))
        p.box(0, 630, 1200, 6, (70, 66, 80))
        p.box(0, 636, 1200, 170, (56, 56, 70))

    c.shape(paint)

    def wear(p):
        for _ in range(110):
            x, y = rng.uniform(0, 1200), rng.uniform(640, 800)
            p.oval(
                x,
                y,
                rng.uniform(30, 120),
                rng.uniform(2, 7),
                (*shade((70, 68, 84), rng.uniform(0.7, 1.25)), 60),
            )

    c.shape(wear, blur=3)

    def marks(p):
        for x in range(-60, 1250, 120):
            p.poly([(x, 712), (x + 64, 712), (x + 60, 719), (x - 6, 719)], (226, 218, 204))
        for i in range(7):
            y = 645 + i * 22 + i * i * 0.5
            p.poly(
                [
                    (392 - i * 7, y),
                    (486 - i * 5, y),
                    (483 - i * 5, y + 11 + i * 0.8),
                    (386 - i * 7, y + 11 + i * 0.8),
                ],
                (232, 226, 214),
            )

    c.shape(marks, opacity=0.86)
    c.glow(
        lambda p: [p.oval(x, 606, 100, 22, (120, 84, 44)) for x in (80, 270, 470, 660, 860, 1080)], 22, 0.9
    )
    c.glow(lambda p: p.oval(900, 700, 420, 36, (70, 44, 34)), 50, 1)


def tree(c, rng, x, y, size):
    def paint(p):
        p.oval(x, y + 4, 46 * size, 9 * size, (40, 34, 54, 110))
        p.poly(
            [
                (x - 8 * size, y),
                (x + 8 * size, y),
                (x + 4 * size, y - 130 * size),
                (x - 4 * size, y - 130 * size),
            ],
            (74, 56, 60),
        )
        p.line([(x, y - 96 * size), (x + 30 * size, y - 150 * size)], (74, 56, 60), 5 * size)
        p.line([(x, y - 110 * size), (x - 28 * size, y - 160 * size)], (74, 56, 60), 5 * size)

    c.shape(paint)
    for tone, spread, dy, count in [
        ((52, 82, 72), 1.0, 0, 46),
        ((84, 116, 78), 0.82, -10, 44),
        ((150, 152, 88), 0.62, -24, 34),
    ]:

        def leaves(p, tone=tone, spread=spread, dy=dy, count=count):
            for _ in range(count):
                a, r = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random()) * 66 * size * spread
                d = rng.uniform(9, 19) * size
                p.oval(
                    x + r * math.cos(a) + (8 if dy else 0),
                    y - 178 * size + dy + r * 0.82 * math.sin(a),
                    d,
                    d * 0.86,
                    shade(tone, rng.uniform(0.85, 1.15)),
                )

        c.shape(leaves, opacity=0.96)


def lamp(c, x):
    def paint(p):
        p.line([(x, 624), (x, 404)], (46, 44, 58), 5)
        p.line([(x, 410), (x + 34, 396)], (46, 44, 58), 4)
        p.box(x - 7, 600, 14, 26, (46, 44, 58), 3)
        p.poly([(x + 20, 396), (x + 50, 396), (x + 44, 406), (x + 26, 406)], (255, 240, 200))

    c.shape(paint)
    c.glow(lambda p: p.oval(x + 35, 408, 20, 14, (255, 210, 140)), 18, 1.4)


def person(c, x, y, h, top, legs, pose):
    skin, s = (224, 172, 140), h / 74

    def paint(p):
        p.oval(x, y + 1, 17 * s, 4 * s, (34, 30, 46, 120))
        stride = 9 * s if pose else 5 * s
        p.line([(x, y - 34 * s), (x - stride, y - 2)], legs, 7.5 * s)
        p.line([(x, y - 34 * s), (x + stride, y - 2)], shade(legs, 1.2), 7.5 * s)
        p.blob(
            [
                (x - 8 * s, y - 58 * s),
                (x + 8 * s, y - 58 * s),
                (x + 9 * s, y - 34 * s),
                (x - 9 * s, y - 34 * s),
            ],
            top,
        )
        p.line([(x + 7 * s, y - 55 * s), (x + (13 if pose else 9) * s, y - 36 * s)], shade(top, 0.82), 5 * s)
        p.line([(x - 7 * s, y - 55 * s), (x - (12 if pose else 8) * s, y - 36 * s)], shade(top, 0.9), 5 * s)
        p.oval(x, y - 66 * s, 7 * s, 8 * s, skin)
        p.oval(x - 1.5 * s, y - 69 * s, 7 * s, 6 * s, shade((70, 50, 48), 0.6 + 0.2 * pose))
        if pose:
            p.box(x - 17 * s, y - 40 * s, 10 * s, 13 * s, (96, 70, 62), 2)

    c.shape(paint)


def car(c, x, y, s, colour, way):
    """A car seen from the side; (x, y) is between its wheels on the road, `way` is where it drives."""

    def q(points):
        return [(x + way * px * s, y + py * s) for px, py in points]

    def paint(p):
        p.oval(x, y + 1, 98 * s, 9 * s, (22, 20, 32, 170))
        p.blob(
            q(
                [
                    (-92, -20),
                    (-90, -40),
                    (-64, -46),
                    (-34, -70),
                    (18, -71),
                    (48, -46),
                    (84, -40),
                    (93, -24),
                    (88, -14),
                    (-86, -13),
                ]
            ),
            colour,
        )
        p.blob(q([(-90, -26), (0, -28), (92, -27), (88, -14), (0, -12), (-86, -13)]), shade(colour, 0.74))
        p.poly(q([(-55, -46), (-32, -65), (-8, -66), (-8, -46)]), (58, 70, 100))
        p.poly(q([(-2, -46), (-2, -66), (16, -66), (38, -46)]), (58, 70, 100))
        p.poly(q([(-50, -46), (-32, -62), (-24, -62), (-38, -46)]), (138, 146, 170))
        p.line(q([(-5, -44), (-5, -18)]), shade(colour, 0.6), 1.4 * s)
        p.box(min(x + way * 2 * s, x + way * 14 * s), y - 39 * s, 12 * s, 2.4 * s, shade(colour, 0.55))
        for wheel in (-56, 56):
            wx = x + way * wheel * s
            p.oval(wx, y - 15 * s, 19 * s, 18 * s, shade(colour, 0.4))
            p.oval(wx, y - 14 * s, 16 * s, 16 * s, (28, 28, 36))
            p.oval(wx, y - 14 * s, 8.5 * s, 8.5 * s, (176, 178, 188))
            p.oval(wx, y - 14 * s, 3 * s, 3 * s, (80, 82, 92))
        p.blob(q([(80, -38), (92, -33), (91, -27), (80, -31)]), (255, 244, 206))
        p.blob(q([(-91, -38), (-84, -39), (-84, -29), (-92, -28)]), (214, 48, 44))

    c.shape(paint)
    c.glow(lambda p: p.blob(q([(90, -34), (250, -26), (250, 4), (90, -22)]), (150, 126, 84)), 16, 0.8)
    c.glow(lambda p: p.oval(x - way * 90 * s, y - 33 * s, 9 * s, 7 * s, (230, 50, 40)), 9, 1.2)


def bus(c, x, y):
    def paint(p):
        p.oval(x + 40, y + 1, 190, 9, (22, 20, 32, 170))
        p.box(x - 150, y - 120, 372, 108, (232, 226, 212), 12)
        p.box(x - 150, y - 54, 372, 30, (44, 118, 120))
        p.box(x - 150, y - 24, 372, 14, (60, 60, 74), 4)
        for i in range(7):
            p.box(x - 142 + i * 46, y - 108, 40, 46, shade(LIT, 0.94), 4)
            if i in (1, 3, 4):
                p.oval(x - 122 + i * 46, y - 76, 7, 8, (92, 66, 70))
                p.box(x - 132 + i * 46, y - 70, 20, 8, (84, 80, 108), 4)
        p.box(x + 180, y - 108, 36, 60, (74, 88, 120), 6)
        p.box(x + 60, y - 108, 34, 88, (70, 84, 114), 3)
        p.box(x + 76, y - 108, 2, 88, (232, 226, 212))
        for wx in (x - 96, x + 150):
            p.oval(wx, y - 15, 24, 22, (48, 48, 60))
            p.oval(wx, y - 14, 19, 19, (26, 26, 34))
            p.oval(wx, y - 14, 9, 9, (170, 172, 180))
        p.oval(x + 216, y - 34, 6, 7, (255, 244, 206))

    c.shape(paint)
    c.glow(lambda p: p.box(x - 142, y - 106, 310, 40, (90, 62, 26)), 14, 0.8)


def cyclist(c, x, y):
    def paint(p):
        p.oval(x, y + 2, 48, 5, (22, 20, 32, 150))
        for wx in (x - 30, x + 30):
            p.arc(wx, y - 19, 20, 0, 360, (28, 28, 38), 3.4)
            p.oval(wx, y - 19, 2.5, 2.5, (180, 180, 186))
        p.line([(x - 30, y - 19), (x - 8, y - 46), (x + 22, y - 46), (x + 30, y - 19)], (226, 92, 66), 3.6)
        p.line([(x - 8, y - 46), (x - 2, y - 19), (x + 22, y - 46)], (226, 92, 66), 3.6)
        p.line([(x + 22, y - 46), (x + 20, y - 58), (x + 28, y - 60)], (40, 40, 52), 3)
        p.line([(x - 8, y - 54), (x + 10, y - 36), (x + 1, y - 16)], (52, 56, 82), 7.5)
        p.blob([(x - 16, y - 56), (x - 4, y - 50), (x + 14, y - 82), (x + 2, y - 90)], (74, 150, 128))
        p.line([(x + 8, y - 82), (x + 24, y - 60)], (224, 172, 140), 5)
        p.oval(x + 13, y - 97, 8, 9, (224, 172, 140))
        p.blob([(x + 2, y - 98), (x + 8, y - 110), (x + 20, y - 108), (x + 24, y - 98)], (240, 236, 226))

    c.shape(paint)


def signal(c, x, y):
    def paint(p):
        p.line([(x, y), (x, y - 178)], (40, 40, 52), 5.5)
        p.box(x - 13, y - 236, 26, 64, (34, 34, 44), 6)
        for i, colour in enumerate([(238, 66, 54), (96, 80, 40), (42, 84, 62)]):
            p.oval(x, y - 224 + i * 20, 7.5, 7.5, colour)

    c.shape(paint)
    c.glow(lambda p: p.oval(x, y - 224, 10, 10, (255, 60, 40)), 12, 1.3)
