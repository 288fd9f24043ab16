"""A headless Chromium that is driven by WebDriver, through ChromeDriver: for pictures of pages, and tests of them.

    with chromium(folder) as browser:
        browser.open(page.as_uri())
        browser.run("return document.title")

Left out: other browsers, and waiting; what is run returns when it is done.
"""

import base64
import io
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image

PROGRAMS = ("chromium", "chromedriver")
SECONDS = 60


@dataclass(frozen=True)
class Browser:
    """One window."""

    session: str
    """URL of the WebDriver session."""
    http: requests.Session

    def open(self, address: str) -> None:
        self._post("url", url=address)

    def resize(self, width: int, height: int) -> None:
        """Make the window so many CSS pixels large."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns in the page; of a promise, what it comes to."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def tell(self, command: str, **parameters: Any) -> Any:
        """A command of the Chrome DevTools Protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def take(self, area: Mapping[str, float], scale: float, path: Path) -> None:
        """A picture of a part of the page (`x`, `y`, `width` and `height` in CSS pixels), in which one has `scale`."""
        clip = {**area, "scale": scale}
        taken = self.tell("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        # Without losses, as text is sharp then, and the file no larger than the browser's own WebP.
        Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB").save(path, lossless=True, method=6)

    def console(self) -> list[str]:
        """What the page logged since the last call, from warnings upwards, the browser's own complaints included."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def _post(self, path: str, **body: Any) -> Any:
        return _answered(self.http.post(f"{self.session}/{path}", json=body, timeout=SECONDS))


def _answered(response: requests.Response) -> Any:
    """Raises: RuntimeError: the driver refuses, or the script failed; with what it says."""
    if not response.ok:
        raise RuntimeError(response.json()["value"]["message"])
    return response.json()["value"]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Both programs are on PATH; `folder` is empty, and for the browser's profile."""
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(  # noqa: S603 - a constant command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        try:
            lines = driver.stdout or ()
            port = next(found[1] for line in lines if (found := re.search(r"successfully on port (\d+)", line)))
            with requests.Session() as http:
                http.trust_env = False  # no proxy for what runs here
                yield from _window(f"http://127.0.0.1:{port}/session", http, folder)
        finally:
            driver.terminate()


def _window(server: str, http: requests.Session, folder: Path) -> Iterator[Browser]:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": [*options, "--disable-dev-shm-usage", f"--user-data-dir={folder}"]},
        "goog:loggingPrefs": {"browser": "WARNING"},
    }
    opened = _answered(http.post(server, json={"capabilities": {"alwaysMatch": wanted}}, timeout=SECONDS))
    session = f"{server}/{opened['sessionId']}"
    try:
        yield Browser(session, http)
    finally:
        http.delete(session, timeout=SECONDS)
