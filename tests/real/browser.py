"""Debian's Chromium without a window, and what a person would look for in a page with media."""

from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 30


class Browser:
    """One Chromium with an empty profile."""

    def __init__(self, folder: Path):
        options = webdriver.ChromeOptions()
        for flag in (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio", "--window-size=1280,1600",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}/profile",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Named, so that nothing goes looking for a driver elsewhere.
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver", log_output=f"{folder}/chromedriver.log"))
        self.driver.set_script_timeout(SECONDS)
        self.driver.set_page_load_timeout(SECONDS)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def close(self) -> None:
        self.driver.quit()

    def script(self, code: str, *arguments):
        """Runs the body of an async function in the page and waits for what it returns."""
        told = self.driver.execute_async_script(
            f"const done = arguments[arguments.length - 1];"
            f"(async (...args) => {{ {code} }})(...arguments).then(value => done({{value}}), error => done({{error: String(error)}}));",
            *arguments,
        )
        assert "error" not in told, told["error"]
        return told.get("value")

    def until(self, what: str, code: str, *arguments):
        """Waits until the expression is true in the page."""
        try:
            return WebDriverWait(self.driver, SECONDS, 0.1).until(lambda driver: driver.execute_script(f"return {code}", *arguments))
        except Exception as error:
            raise AssertionError(f"{what}: {error}; console: {self.console()}") from None

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def click(self, element_id: str) -> None:
        """Clicks as a person does, with the element in the middle of the window."""
        element = self.driver.find_element("id", element_id)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def sources(self, tag: str) -> list[str]:
        """Where the elements of one kind load from."""
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.currentSrc || e.src)", tag)

    def decoded_images(self) -> list[tuple[str, int]]:
        """Every image of the page with its width in pixels once it was decoded, lazy ones included."""
        return [tuple(pair) for pair in self.script("""
            const images = [...document.images];
            images.forEach(image => image.loading = "eager");
            await Promise.all(images.map(image => image.decode().catch(() => {})));
            return images.map(image => [image.currentSrc || image.src, image.naturalWidth]);
        """)]

    def play(self, tag: str, index: int, seconds: float) -> float:
        """Plays one element until it has moved on by some seconds; answers with its position."""
        return self.script("""
            const [tag, index, seconds] = args;
            const player = document.querySelectorAll(tag)[index];
            player.muted = true;
            const from = player.currentTime;
            await player.play();
            while (player.currentTime < from + seconds) {
                if (player.error) throw player.error.message;
                if (player.ended) break;
                await new Promise(resolve => setTimeout(resolve, 50));
            }
            player.pause();
            return player.currentTime;
        """, tag, index, seconds)

    def seek(self, tag: str, index: int, to: float) -> float:
        """Moves one element to a position and waits until it is there and can show it."""
        return self.script("""
            const [tag, index, to] = args;
            const player = document.querySelectorAll(tag)[index];
            if (player.readyState < 1) {
                player.preload = "auto";
                await new Promise((resolve, reject) => { player.onloadedmetadata = resolve; player.onerror = () => reject(player.error.message); player.load(); });
            }
            player.pause();
            await new Promise((resolve, reject) => { player.onseeked = resolve; player.onerror = () => reject(player.error.message); player.currentTime = to; });
            while (player.readyState < 2) await new Promise(resolve => setTimeout(resolve, 50));
            return player.currentTime;
        """, tag, index, to)

    def duration(self, tag: str, index: int) -> float:
        self.until(f"{tag} {index} knows its duration", "document.querySelectorAll(arguments[0])[arguments[1]].duration > 0", tag, index)
        return self.driver.execute_script("return document.querySelectorAll(arguments[0])[arguments[1]].duration", tag, index)

    def picture(self, tag: str, index: int) -> bytes:
        """What the element looks like now; a screenshot, since a canvas may not read another origin's video."""
        element = self.driver.find_elements("css selector", tag)[index]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'}); arguments[0].controls = false", element)
        return element.screenshot_as_png


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
