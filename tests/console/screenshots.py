"""Takes the pictures of the README from the running product: its web server, its engine, the simulated DRS.

script/screenshots [DIRECTORY]
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from drs.simulator.testing import REPOSITORY, simulator_process
from tests.console.png import shrink

CHROMIUM = "/usr/bin/chromium"
MOST_BYTES = 150_000
PASSWORD = "correct-horse-battery"
SPEED = 60
PLAN = "3-Tier Application Recovery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(env: dict[str, str], *command: str) -> Iterator[None]:
    running = subprocess.Popen(command, cwd=REPOSITORY, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


@contextmanager
def product() -> Iterator[str]:
    """The whole demonstration in a directory of its own; yields its address."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        simulator = stack.enter_context(simulator_process(Path(scratch) / "sim.sqlite3", "demo", speed=SPEED))
        port = str(free_port())
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DRSORCH_"))},
            "DATABASE_URL": f"sqlite:///{scratch}/pictures.sqlite3",
            "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
            "AWS_ENDPOINT_URL_DRS": simulator.url,
            "AWS_ENDPOINT_URL_STS": simulator.url,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "DRSORCH_POLL_SECONDS": "1",
        }
        manage = (sys.executable, "manage.py")
        subprocess.run([*manage, "demo"], cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)
        code = (
            "from django.contrib.auth.models import User; user = User.objects.get(username='admin');"
            f"user.set_password('{PASSWORD}'); user.save()"
        )
        subprocess.run([*manage, "shell", "-v0", "-c", code], cwd=REPOSITORY, env=env, check=True)
        gunicorn = ("-m", "gunicorn", "drsorch_site.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4")
        stack.enter_context(process(env, sys.executable, *gunicorn))
        stack.enter_context(process(env, *manage, "engine"))
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: requests.get(f"{address}/healthz", timeout=1).ok)
        yield address


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        try:
            if condition():
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise TimeoutError("the product did not start")


class Camera:
    """One signed-in person's browser."""

    def __init__(self, browser: Browser, address: str, into: Path) -> None:
        self.into = into
        self.page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        self.page.goto("/")
        self.page.get_by_label("Name").fill("admin")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()

    def take(self, name: str, *, whole: bool = True, height: int = 1100) -> None:
        path = self.into / f"{name}.png"
        self.page.evaluate("window.scrollTo(0, 0)")
        size = self.page.viewport_size or {"width": 1280, "height": 900}
        total = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": size["width"], "height": min(total, height) if whole else size["height"]})
        self.page.screenshot(path=path)
        self.page.set_viewport_size(size)
        shrink(path)
        taken = path.stat().st_size
        if taken > MOST_BYTES:
            raise SystemExit(f"{path} has {taken} bytes, at most {MOST_BYTES} are wanted")
        sys.stdout.write(f"{path}: {taken} bytes\n")


def run_drill(page: Page) -> None:
    page.goto("/recovery-plans")
    page.get_by_role("link", name=f"Start drill of {PLAN}").click()
    page.get_by_role("dialog").get_by_role("button", name="Start drill").click()
    expect(page.locator("h1 + .status")).to_have_text("Paused", timeout=120_000)


def take_all(camera: Camera) -> None:
    page = camera.page
    run_drill(page)
    page.wait_for_timeout(1000)
    camera.take("execution")
    page.emulate_media(color_scheme="dark")
    camera.take("execution-dark")
    page.set_viewport_size({"width": 420, "height": 900})
    camera.take("execution-narrow", height=1400)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto("/")
    camera.take("dashboard")
    page.goto("/recovery-plans")
    page.get_by_role("link", name="ERP Recovery", exact=True).click()
    page.get_by_role("link", name="Edit").click()
    camera.take("plan-editor")
    page.goto("/recovery-plans")
    page.get_by_role("link", name="Start recovery of ERP Recovery").click()
    page.get_by_role("dialog").get_by_label("Type the plan's name").fill("ERP Recovery")
    camera.take("start-recovery", whole=False)


def main() -> None:
    into = Path(sys.argv[1]) if sys.argv[1:] else REPOSITORY / "docs" / "images"
    into.mkdir(parents=True, exist_ok=True)
    with product() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        take_all(Camera(browser, address, into))
        browser.close()


if __name__ == "__main__":
    main()
