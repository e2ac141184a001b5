"""A traffic camera above a crossing: twelve seconds with the time burnt in, a keyframe every second."""

import math
import pathlib
import struct
import subprocess
import tempfile

import numpy as np
from drawing import Canvas, Pen, shade
from fields import crown
from PIL import Image, ImageDraw, ImageFont

WIDE, HIGH, RATE, SECONDS = 768, 432, 24, 12
LANE, HALF = 34, 72  # width of a lane, half the width of a road with its margin
CX, CY = WIDE / 2, HIGH / 2


def crossing(target):
    rng = np.random.default_rng(3)
    ground = crossing_ground(rng)
    cars, walkers = traffic(rng), [Walker(rng, i) for i in range(16)]
    # Sensor noise that repeats: it makes the picture a camera's, and the file large enough to be worth seeking in.
    hiss = [rng.normal(0, 2.0, (HIGH, WIDE, 1)) for _ in range(7)]
    with tempfile.TemporaryDirectory() as folder:
        for frame in range(RATE * SECONDS):
            t = frame / RATE
            picture = crossing_frame(ground, cars, walkers, t)
            pixels = np.asarray(picture, float) + hiss[frame % len(hiss)]
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                f"{folder}/{frame:04}.png", compress_level=1
            )
            for _ in range(4):
                advance(cars, t, 1 / RATE / 4)
            for walker in walkers:
                walker.advance(t, 1 / RATE)
        source = f"ffmpeg -loglevel error -y -framerate {RATE} -i {folder}/%04d.png".split()
        codec = f"-an -c:v libx264 -preset veryslow -pix_fmt yuv420p -b:v 500k -g {RATE}".split()
        rest = [
            "-sc_threshold",
            "0",
            "-movflags",
            "+faststart",
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
        ]
        for run in ("1", "2"):
            passes = ["-threads", "1", "-pass", run, "-passlogfile", f"{folder}/pass"]
            subprocess.run([*source, *codec, *rest, *passes, f"{folder}/video.mp4"], check=True)
        target.write_bytes(one_sample_per_chunk(pathlib.Path(folder, "video.mp4").read_bytes()))


def one_sample_per_chunk(video):
    """Gives every frame its own entry in the table of offsets, so that the demo can move frames apart."""

    def rebuilt(boxes, offsets):
        out = b""
        while boxes:
            size, kind = struct.unpack_from(">I4s", boxes)
            body, boxes = boxes[8:size], boxes[size:]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
                body = rebuilt(body, offsets)
            elif kind == b"stsc":
                body = struct.pack(">5I", 0, 1, 1, 1, 1)
            elif kind == b"stco":
                body = struct.pack(f">{2 + len(offsets)}I", 0, len(offsets), *offsets)
            out += struct.pack(">I4s", len(body) + 8, kind) + body
        return out

    (count,) = struct.unpack_from(">I", video, video.index(b"stsz") + 12)
    sizes = struct.unpack_from(f">{count}I", video, video.index(b"stsz") + 16)
    first = rebuilt(video, sizes).index(b"mdat") + 4
    return rebuilt(video, [first + sum(sizes[:i]) for i in range(count)])


def crossing_ground(rng):
    c = Canvas(WIDE, HIGH, 3, (104, 122, 92))

    def plots(p):
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = CX + sx * (HALF + 22), CY + sy * (HALF + 22)
                w, h = (CX - HALF - 22) * sx, (CY - HALF - 22) * sy
                p.box(min(x, x + w) - 22, min(y, y + h) - 22, abs(w) + 44, abs(h) + 44, (168, 164, 156))
                p.box(min(x, x + w), min(y, y + h), abs(w), abs(h), (116, 136, 98), 8)

    c.shape(plots)

    def houses(p):
        for x, y, w, h, roof in [
            (-20, -30, 230, 128, (150, 92, 78)),
            (560, -30, 230, 120, (128, 132, 142)),
            (600, 344, 200, 120, (176, 150, 118)),
        ]:
            p.box(x + 9, y + 9, w, h, (40, 44, 40, 130), 3)
            p.box(x, y, w, h, shade(roof, 0.8), 3)
            p.box(x + 5, y + 5, w - 10, h - 10, roof, 2)
            for _ in range(4):
                ux, uy = x + rng.uniform(24, w - 40), y + rng.uniform(40, max(50, h - 30))
                p.box(ux + 3, uy + 3, 16, 12, (50, 46, 44, 120))
                p.box(ux, uy, 16, 12, (196, 196, 198), 2)

    c.shape(houses)

    def park(p):
        p.line([(0, 420), (120, 350), (262, 310)], (198, 184, 150), 11)
        p.oval(116, 388, 46, 26, (84, 132, 150))
        p.oval(112, 384, 38, 20, (104, 154, 170))

    c.shape(park, blur=0.5)
    c.shape(
        lambda p: [
            crown(p, rng, *at, rng.uniform(9, 17))
            for at in [
                (30, 350),
                (64, 330),
                (204, 388),
                (236, 350),
                (40, 410),
                (196, 326),
                (252, 404),
                (226, 20),
                (246, 92),
                (532, 24),
                (524, 96),
                (560, 336),
                (548, 392),
                (572, 424),
                (150, 336),
                (16, 318),
            ]
        ]
    )

    def asphalt(p):
        p.box(CX - HALF, 0, 2 * HALF, HIGH, (82, 84, 92))
        p.box(0, CY - HALF, WIDE, 2 * HALF, (82, 84, 92))
        for sx in (-1, 1):
            for sy in (-1, 1):
                p.oval(CX + sx * (HALF + 10), CY + sy * (HALF + 10), 3, 3, (82, 84, 92))

    c.shape(asphalt)

    def wear(p):
        for _ in range(160):
            x, y = rng.uniform(0, WIDE), rng.uniform(0, HIGH)
            if abs(x - CX) < HALF - 8 or abs(y - CY) < HALF - 8:
                p.oval(
                    x,
                    y,
                    rng.uniform(4, 22),
                    rng.uniform(4, 22),
                    (*shade((82, 84, 92), rng.choice([0.88, 1.08])), 70),
                )

    c.shape(wear, blur=4)

    def marks(p):
        white = (222, 222, 216)
        for along in range(0, WIDE, 22):
            for a, b, vertical in ((CX, CY, 0), (CY, CX, 1)):
                if abs(along - a) < HALF + 44:
                    continue
                for off in (-2.5, 2.5):
                    mark(p, vertical, along, b + off, 22, 1.6, (226, 190, 90))
                for off in (-LANE, LANE):
                    if along % 44 == 0:
                        mark(p, vertical, along, b + off, 18, 1.8, white)
        for side in (-1, 1):
            for i in range(-5, 6):
                p.box(CX + i * 12.4 - 3.6, CY + side * (HALF + 20) - 12, 7.2, 24, white)
                p.box(CX + side * (HALF + 20) - 12, CY + i * 12.4 - 3.6, 24, 7.2, white)
            p.box(CX + (2 if side > 0 else -HALF + 2), CY + side * (HALF + 37), HALF - 4, 3.4, white)
            p.box(CX + side * (HALF + 37) - 3.4, CY + (-HALF + 2 if side > 0 else 2), 3.4, HALF - 4, white)

    c.shape(marks, opacity=0.9)
    return c.done()


def mark(p, vertical, along, across, length, width, fill):
    if vertical:
        p.box(across - width / 2, along, width, length, fill)
    else:
        p.box(along, across - width / 2, length, width, fill)


STOP = 700 - HALF - 42  # how far along its path a car waits for the light
COLOURS = [
    (206, 60, 52),
    (236, 236, 232),
    (52, 92, 152),
    (40, 44, 52),
    (226, 180, 68),
    (148, 154, 162),
    (74, 128, 104),
    (186, 190, 196),
]


class Car:
    def __init__(self, path, turns, lane, s, length, colour):
        self.path, self.turns, self.lane, self.s, self.length = path, turns, lane, s, length
        self.axis = lane[0] % 2
        self.v = 0.0 if self.axis else 92.0
        self.sprite = car_sprite(length, colour)

    def place(self):
        i = min(len(self.path) - 2, max(0, self.s / 2))
        (x0, y0), (x1, y1) = self.path[int(i)], self.path[int(i) + 1]
        f = i - int(i)
        return x0 + (x1 - x0) * f, y0 + (y1 - y0) * f, math.degrees(math.atan2(y1 - y0, x1 - x0))


def lane_path(heading, offset, turns):
    """Points two pixels apart: straight through, or a quarter turn to the right."""
    way = [(-700 + 2 * i, offset) for i in range(701)]
    if turns:
        radius = HALF - offset
        arc = np.linspace(0, math.pi / 2, int(radius * math.pi / 4))
        bow = [(-HALF + radius * math.sin(a), offset + radius * (1 - math.cos(a))) for a in arc]
        way = (
            [p for p in way if p[0] <= -HALF]
            + bow
            + [(bow[-1][0], bow[-1][1] + 2 * i) for i in range(1, 220)]
        )
    c, s = math.cos(heading), math.sin(heading)
    return [(CX + x * c - y * s, CY + x * s + y * c) for x, y in way]


def traffic(rng):
    cars = []
    for arm in range(4):
        for lane, offset in enumerate((LANE / 2, LANE * 1.5)):
            # Across, traffic flows at the start; down, it waits at the light.
            s = STOP - 18 if arm % 2 else 700 + rng.uniform(-140, 60)
            for k in range(5):
                turns = lane == 1 and rng.random() < 0.4
                long = lane == 1 and arm == 0 and k == 1
                turns = turns and not long
                path = lane_path(arm * math.pi / 2, offset, turns)
                colour = (232, 170, 56) if long else COLOURS[rng.integers(len(COLOURS))]
                cars.append(Car(path, turns, (arm, lane), s, 64 if long else rng.uniform(32, 37), colour))
                s -= rng.uniform(46, 60) if arm % 2 and k < 2 else rng.uniform(74, 150)
    return cars


def green(axis, t):
    """Across until 4 s, down from 6 s."""
    return t < 4.0 if axis == 0 else 6.0 < t < 10.8


def advance(cars, t, dt):
    """Each car keeps its distance, slows into turns and stops before a light that is not green."""
    for car in cars:
        ahead = [o.s - o.length / 2 for o in cars if o.lane == car.lane and o.s > car.s]
        limit = min(ahead, default=9e9) - 9
        front = car.s + car.length / 2
        if not green(car.axis, t) and front <= STOP + 3:
            limit = min(limit, STOP)
        slow = car.turns and 700 - HALF - 30 < car.s < 700 + 90
        wanted = min(58.0 if slow else 104.0, math.sqrt(2 * 120 * max(0, limit - front)))
        rate = 60 if wanted > car.v else 190
        car.v += max(-rate * dt, min(rate * dt, wanted - car.v))
        car.s += max(0, car.v) * dt


def car_sprite(length, colour):
    """A car from above, driving right, with room around it for its turn."""
    size, w = 96, 17 if length < 50 else 20
    c = Image.new("RGBA", (size * 4, size * 4))
    p = Pen(c, 4)
    x, y = size / 2 - length / 2, size / 2 - w / 2
    p.box(x, y, length, w, colour, 5 if length < 50 else 3)
    if length > 50:
        p.box(x + 3, y + 2, length - 14, w - 4, shade(colour, 1.1), 2)
        for i in range(3):
            p.box(x + 10 + i * 15, y + 6, 8, w - 12, shade(colour, 0.85), 1)
    else:
        p.box(x + length * 0.24, y + 1.6, length * 0.5, w - 3.2, (44, 54, 70), 4)
        p.box(x + length * 0.34, y + 2.4, length * 0.26, w - 4.8, shade(colour, 1.08), 2.5)
    p.box(x + length - 3, y + 1.5, 2.4, 4, (255, 246, 210), 1)
    p.box(x + length - 3, y + w - 5.5, 2.4, 4, (255, 246, 210), 1)
    p.box(x + 0.4, y + 1.5, 2, 4, (210, 40, 36), 1)
    p.box(x + 0.4, y + w - 5.5, 2, 4, (210, 40, 36), 1)
    return c


def crossing_frame(ground, cars, walkers, t):
    picture = ground.resize((WIDE * 2, HIGH * 2), Image.BICUBIC)
    for sx, sy, axis in [(-1, 1, 0), (1, -1, 0), (1, 1, 1), (-1, -1, 1)]:
        x, y = (CX + sx * (HALF + 9)) * 2, (CY + sy * (HALF + 9)) * 2
        pen = ImageDraw.Draw(picture)
        pen.ellipse([x - 13, y - 13, x + 13, y + 13], fill=(36, 38, 44))
        light = (
            (88, 214, 120)
            if green(axis, t)
            else (240, 190, 70)
            if green(axis, t - 1.4) and t > 1.4
            else (236, 70, 60)
        )
        pen.ellipse([x - 8, y - 8, x + 8, y + 8], fill=light)
    for walker in walkers:
        walker.paint(ImageDraw.Draw(picture))
    for car in cars:
        x, y, angle = car.place()
        if not (-60 < x < WIDE + 60 and -60 < y < HIGH + 60):
            continue
        body = car.sprite.rotate(-angle, Image.BICUBIC).resize((192, 192), Image.LANCZOS)
        dark = Image.new("RGBA", body.size, (24, 26, 30, 255))
        dark.putalpha(body.getchannel("A").point(lambda a: a * 90 // 255))
        at = round(x * 2 - 96), round(y * 2 - 96)
        picture.paste(dark, (at[0] + 6, at[1] + 7), dark)
        picture.paste(body, at, body)
    picture = picture.resize((WIDE, HIGH), Image.LANCZOS)
    clock(picture, t)
    return picture


class Walker:
    """Walks along one of the four pavements, and waits at the road for the light."""

    TOPS = ((214, 88, 72), (244, 214, 120), (90, 140, 196), (236, 236, 230), (120, 88, 150), (80, 150, 120))

    def __init__(self, rng, i):
        self.arm, self.step = i % 4, rng.uniform(0, 6)
        self.aside, self.speed = rng.uniform(-6, 6), rng.uniform(26, 38)
        self.colour, self.away = self.TOPS[i % 6], rng.uniform(2, 16)
        # How far from the middle of the crossing, against the way.
        self.s = rng.uniform(-300, 60) if self.arm < 2 else rng.uniform(-190, -HALF - 4)

    def advance(self, t, dt):
        may_cross = green(self.arm // 2, t) and green(self.arm // 2, t + 0.8)
        if self.s < -HALF - self.away + 1 < self.s + self.speed * dt + 1 and not may_cross:
            return
        self.s += self.speed * dt
        self.step += 9 * dt

    def paint(self, pen):
        flat, way = self.arm < 2, 1 if self.arm % 2 == 0 else -1
        side = (HALF + 19 + self.aside) * -way
        x, y = (CX + self.s * way, CY + side) if flat else (CX + side, CY + self.s * way)
        x, y, sway = x * 2, y * 2, math.sin(self.step) * 5
        dx, dy = (sway, 0) if flat else (0, sway)
        rx, ry = (5, 9) if flat else (9, 5)
        pen.ellipse([x - 5, y - 3, x + 11, y + 11], fill=(98, 96, 92))
        for foot in (1, -1):
            fx, fy = x + dx * foot + dy * 0.6 * foot, y + dy * foot + dx * 0.6 * foot
            pen.ellipse([fx - 3, fy - 3, fx + 3, fy + 3], fill=(48, 50, 62))
        pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill=self.colour)
        pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill=(70, 50, 44))


def clock(picture, t):
    """The time, digit by digit at fixed steps."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(26)
    pen.rounded_rectangle([14, 12, 142, 48], 7, fill=(16, 18, 22))
    text = f"{int(t) // 60:02}:{int(t) % 60:02}.{int(t * 100 + 1e-6) % 100:02}"
    x = 28
    for char in text:
        advance_by = 8 if char in ":." else 15.5
        pen.text((x + advance_by / 2, 31), char, font=font, fill=(240, 242, 246), anchor="mm")
        x += advance_by
    pen.ellipse([WIDE - 32, 20, WIDE - 20, 32], fill=(226, 52, 48))
