"""Pictures, sound and video that ffmpeg draws, so that none has to be kept."""

import subprocess
from pathlib import Path


def draw_image(folder: Path) -> bytes:
    """A test card of 320 by 240."""
    return _draw(folder / "image.png", "-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1")


def draw_audio(folder: Path, seconds: int) -> bytes:
    """A tone."""
    return _draw(folder / "audio.wav", "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}")


def draw_video(folder: Path) -> bytes:
    """Twenty seconds of H.264 with the index at the end and too big to be fetched in one go, so that players must seek."""
    return _draw(
        folder / "video.mp4",
        "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20,noise=alls=30:allf=t",
        "-f", "lavfi", "-i", "sine=frequency=330:duration=20",
        "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "6M", "-minrate", "6M", "-bufsize", "6M", "-g", "25", "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-threads", "2",
    )


def _draw(file: Path, *arguments: str) -> bytes:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments, str(file)], check=True, timeout=60)
    return file.read_bytes()
