"""A real browser on the console, that complains of whatever should not happen."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000
AXE = Path(settings.BASE_DIR) / "node_modules/axe-core/axe.min.js"
# A refusal that the page shows is also a line in the browser's console. That is no complaint. Nor is a poll that a slow
# machine did not answer in time, or whose element was replaced meanwhile; what failed otherwise has a line of its own
# beside that of afterRequest.
REFUSED = re.compile(
    r"status of (400|401|403|409|412|422|502|503) |Response Status Error Code (401|502)"
    r"|^htmx:(timeout|afterRequest|sendAbort), "
)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Desk:
    """People at their browsers, all on one console."""

    browser: Browser
    address: str
    complaints: list[str] = field(default_factory=list)

    def sit(self, user: User | None, *, width: int = 1280, **options: Any) -> Page:
        """A browser of its own; signed in, unless nobody sits there."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, base_url=self.address, **options)
        if user is not None:
            client = Client()
            client.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": self.address}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._watch)
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not REFUSED.search(message.text):
            self.complaints.append(message.text)

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.complaints.append(f"external request: {request.url}")


def poll(page: Page) -> None:
    """Have the live page look now instead of within three seconds."""
    page.evaluate("htmx.trigger(document.getElementById('live'), 'poll-now')")


# What a page does every few seconds, and how long it waits for an answer; a short wait stays what it is.
HURRY = """{
  const PACE = 8, LONG = 2000;
  const wait = window.setTimeout, { get, set } = Object.getOwnPropertyDescriptor(XMLHttpRequest.prototype, "timeout");
  window.setTimeout = (act, ms, ...rest) => wait(act, ms > LONG ? ms / PACE : ms, ...rest);
  Object.defineProperty(XMLHttpRequest.prototype, "timeout", {
    get, set(ms) { set.call(this, ms > LONG ? ms / PACE : ms); },
  });
}"""


def hurry(page: Page) -> Page:
    """Pages opened here poll, and give up a poll, in less than half a second instead of several."""
    page.add_init_script(HURRY)
    return page


COLOURS = ("color-contrast", "link-in-text-block")  # the rules that look at colours


def axe(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong with the page as it is shown now: all that it knows, or only these rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("(options) => axe.run(document, options).then((results) => results.violations)", options)
    return [
        f"{page.url} {each['id']}: {node['html'][:160]} {json.dumps(node.get('failureSummary', ''))[:200]}"
        for each in found
        for node in each["nodes"]
    ]


# Whatever the live region is given, on each page anew.
LISTEN = """document.addEventListener("DOMContentLoaded", () => {
  const region = document.getElementById("announcer");
  if (region) new MutationObserver(() => window.hear(region.textContent)).observe(region, { childList: true });
});"""
MOST_TABS = 40


@dataclass(frozen=True)
class Focused:
    """A node as the accessibility tree has it."""

    role: str
    name: str
    description: str = ""


class ScreenReader:
    """What somebody has of a page who works by keyboard and screen reader: what has the focus, and what is said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.heard: list[str] = []
        self._tree = page.context.new_cdp_session(page)
        page.expose_function("hear", lambda text: self.heard.append(text))
        page.add_init_script(LISTEN)

    @property
    def focused(self) -> Focused:
        """What has the focus, by the browser's accessibility tree."""
        try:
            element = self._tree.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]
            asked = {"objectId": element.get("objectId", ""), "fetchRelatives": False}
            node: dict[str, Any] = self._tree.send("Accessibility.getPartialAXTree", asked)["nodes"][0]
        except Error:
            return Focused("nothing", "on the way to another page")
        return Focused(*(node.get(part, {}).get("value", "") for part in ("role", "name", "description")))

    def has(self, role: str, name: str) -> Focused:
        """Wait until something so called has the focus; answers it."""
        for _ in range(100):
            found = self.focused
            if (found.role, found.name) == (role, name):
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{self.focused} has the focus, not the {role} “{name}”")

    def tab_to(self, role: str, name: str) -> None:
        """Press Tab until it is reached, without ever falling out of the page."""
        passed = []
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            passed.append(self.focused)
            if (passed[-1].role, passed[-1].name) == (role, name):
                return
        raise AssertionError(f"no {role} “{name}” within reach: {passed}")

    def choose(self, role: str, name: str) -> None:
        self.tab_to(role, name)
        self.page.keyboard.press("Enter")

    def hears(self, sentence: str) -> None:
        """Wait until it was said."""
        for _ in range(600):
            if sentence in " ".join(self.heard):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"“{sentence}” was not said, but {self.heard}")

    def times_heard(self, *sentences: str) -> dict[str, int]:
        return {each: " ".join(self.heard).count(each) for each in sentences}

    def in_dialog(self, name: str, description: str) -> None:
        """A dialog was opened: it has the focus, and says what it asks and what follows."""
        expect(self.page.get_by_role("dialog", name=name, exact=True)).to_be_visible()
        assert description in self.has("dialog", name).description
