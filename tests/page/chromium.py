"""A headless Chromium, told by its DevTools protocol what somebody with a mouse and a keyboard would do."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from ..e2e.support import until

__all__ = ["Tab", "chromium", "tab_of"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"

_FLAGS = (
    "--headless",
    "--no-sandbox",  # It may run as root in a container, and looks at nothing but our own page.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

# The text and the code of a key.
CLICKS_MOST = 5

_KEYS = {
    "Enter": ("\r", 13),
    "Escape": ("", 27),
    "Tab": ("\t", 9),
    "ArrowLeft": ("", 37),
    "ArrowUp": ("", 38),
    "ArrowRight": ("", 39),
    "ArrowDown": ("", 40),
    "Home": ("", 36),
    "PageUp": ("", 33),
    "PageDown": ("", 34),
    "End": ("", 35),
}


@contextmanager
def chromium() -> Iterator[str]:
    """A running Chromium: the address of its DevTools; skips where there is none."""
    binary = next((found for name in _NAMES if (found := shutil.which(name))), None)
    binary = binary or (_MAC if Path(_MAC).exists() else None)
    if binary is None:
        pytest.skip("no Chromium here to look at the page with: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="livecache-chromium-", ignore_cleanup_errors=True) as directory:
        port_file = Path(directory) / "DevToolsActivePort"
        with (Path(directory) / "log").open("wb") as log:
            command = [binary, *_FLAGS, f"--user-data-dir={directory}", "about:blank"]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:

            def port() -> str | None:
                assert process.poll() is None, (Path(directory) / "log").read_text(errors="replace")
                return port_file.read_text().partition("\n")[0] if port_file.exists() else None

            yield f"http://127.0.0.1:{until('Chromium is there', port, 60.0)}"
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def tab_of(devtools: str) -> Iterator[Tab]:
    """A new tab, 1280 pixels wide; closed at the end."""
    request = urllib.request.Request(f"{devtools}/json/new?about:blank", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        target = json.load(answer)
    # Chromium does not answer when the connection is closed.
    options: dict[str, Any] = {"max_size": None, "open_timeout": 30, "close_timeout": 0.2}
    with connect(target["webSocketDebuggerUrl"], **options) as socket:
        tab = Tab(socket)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.resize(1280, 800)
        yield tab
    urllib.request.urlopen(f"{devtools}/json/close/{target['id']}", timeout=30).close()


class Tab:
    """A tab. `problems` holds what its console complained of: errors, exceptions, what the policy forbade;
    `requests` the address of each request that it sent.
    """

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._calls = 0
        self.problems: list[str] = []
        self.requests: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._calls:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: Mapping[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def run(self, script: str) -> Any:
        """What a script's expression gives, as JSON gives it; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, what: str, script: str, within_s: float = 30.0) -> Any:
        """Wait until the script's expression is true; what it gives then."""
        try:
            return until(what, lambda: self.run(script), within_s, every_s=0.1)
        except AssertionError as error:
            seen = self.run("document.body.innerText.slice(0, 1500)")
            raise AssertionError(f"{error}\n{seen}\n{self.problems}") from None

    # --- what is seen

    def text(self, selector: str) -> str:
        """The text that is shown of the first such element; "" where it is hidden."""
        element = f"document.querySelector({json.dumps(selector)})"
        shown: str = self.run(f"{element}?.checkVisibility() ? {element}.innerText : ''")
        return shown

    def texts(self, selector: str) -> list[str]:
        """The texts that are shown of all such elements."""
        script = f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)"
        shown: list[str] = self.run(script)
        return shown

    def screenshot(self, file: Path) -> None:
        """What is to be seen, as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    # --- what somebody does

    def open(self, url: str) -> None:
        """Go there; returns once the page is loaded."""
        self.call("Page.navigate", url=url)
        loaded = "document.readyState === 'complete' && location.href !== 'about:blank'"
        self.until("the page is loaded", loaded)

    def reload(self) -> None:
        """Load it anew."""
        self.run("window.before = true")
        self.call("Page.reload")
        self.until("the page is loaded anew", "!window.before && document.readyState === 'complete'")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """The size of what is seen, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def system_colours(self, scheme: str) -> None:
        """`light` or `dark`, as the system has them."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def click(self, selector: str) -> None:
        """A click in the middle of the first such element, which has to be the uppermost there.

        It comes to the element although what is above it is drawn meanwhile, and all below moves.
        """
        name = json.dumps(selector)
        for _ in range(CLICKS_MOST):
            x, y, hit = self.run(
                f"""(() => {{
                    const element = document.querySelector({name});
                    element.scrollIntoView({{ block: "nearest" }});
                    window.clicked = false;
                    addEventListener("click", ({{ target }}) => {{
                        window.clicked = element.contains(target);
                    }}, {{ once: true, capture: true }});
                    const box = element.getBoundingClientRect();
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const there = document.elementFromPoint(x, y);
                    return [x, y, element.contains(there)];
                }})()"""
            )
            assert hit, f"{selector} is covered by something"
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            if self.run("window.clicked ?? true"):  # else it is another page by now
                return
        raise AssertionError(f"{selector} moves away from each click")

    def drag(self, selector: str, by: int) -> None:
        """With the mouse, from the middle of the first such element so many pixels to the right."""
        x, y = self.run(
            f"""((box) => [box.x + box.width / 2, box.y + box.height / 2])(
                document.querySelector({json.dumps(selector)}).getBoundingClientRect())"""
        )
        mouse = {"y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x - by / 2, **mouse)
        for part in range(1, 5):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + by * (part / 4 - 0.5), **mouse)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + by / 2, **mouse)

    def zoom(self, selector: str, notches: int) -> None:
        """With the wheel, over the middle of the first such element: in, or out where it is below 0."""
        x, y = self.run(
            f"""((box) => [box.x + box.width / 2, box.y + box.height / 2])(
                document.querySelector({json.dumps(selector)}).getBoundingClientRect())"""
        )
        wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -100 if notches > 0 else 100}
        for _ in range(abs(notches)):
            self.call("Input.dispatchMouseEvent", **wheel)

    def focus(self, selector: str) -> None:
        """The keyboard's focus on the first such element."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def press(self, key: str) -> None:
        """A key, where the focus is."""
        text, code = _KEYS[key]
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **pressed, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def type(self, text: str) -> None:
        """Text, where the focus is."""
        self.call("Input.insertText", text=text)
