"""Takes the pictures of README and tutorial from the running product: its web server, its engine, the simulated DRS.

script/screenshots [DIRECTORY]
"""

import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from drs_simulator.testing import REPOSITORY, RunningSimulator, simulator_process
from tests.console.browsers.png import shrink

CHROMIUM = "/usr/bin/chromium"
MOST_BYTES = 150_000
PASSWORD = "correct-horse-battery"
SPEED = 60
PLAN = "3-Tier Application Recovery"
RAW_ERROR = (
    "An error occurred (InsufficientInstanceCapacity) when calling the RunInstances operation: We currently do not have"
    " sufficient m5.xlarge capacity in the Availability Zone you requested (us-east-1a)."
)


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


@dataclass
class Product:
    """The whole demonstration. `start_engine` starts one; the stack it gives ends it."""

    address: str
    simulator: RunningSimulator
    start_engine: Callable[[], ExitStack]


@contextmanager
def product() -> Iterator[Product]:
    """The whole demonstration in a directory of its own, without an engine."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        simulator = stack.enter_context(simulator_process(Path(scratch) / "sim.sqlite3", "demo", speed=SPEED))
        port = str(free_port())
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DRSORCH_"))},
            "DATABASE_URL": f"sqlite:///{scratch}/pictures.sqlite3",
            "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
            **{f"AWS_ENDPOINT_URL_{name}": simulator.url for name in ("DRS", "STS", "EC2", "IAM", "SERVICE_QUOTAS")},
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
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: requests.get(f"{address}/healthz", timeout=1).ok)

        def start_engine() -> ExitStack:
            engine = stack.enter_context(ExitStack())
            engine.enter_context(process(env, *manage, "engine"))
            return engine

        yield Product(address, simulator, start_engine)


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


def start_drill(camera: Camera, question: str = "") -> None:
    page = camera.page
    page.goto("/recovery-plans")
    page.get_by_role("link", name=f"Start drill of {PLAN}").click()
    expect(page.locator("#weighed")).to_be_visible()
    if question:
        expect(page.locator("#weighed")).to_contain_text("Ready with warnings")
        camera.take(question, whole=False)
    page.get_by_role("dialog").get_by_role("button", name="Start drill").click()


def wait_until_ready(page: Page) -> None:
    """Until an engine has read everything that a verdict on the plan needs."""
    page.goto("/recovery-plans")
    page.get_by_role("link", name=PLAN, exact=True).click()
    for _ in range(60):
        if "Ready with warnings" in page.locator("#assessed").inner_text():
            return
        page.wait_for_timeout(2000)
        page.reload()
    raise TimeoutError("the plan did not become ready")


def wait_until(page: Page, status: str) -> None:
    expect(page.locator("h1 + .status")).to_have_text(status, timeout=120_000)
    page.wait_for_timeout(1000)


def readme(camera: Camera) -> None:
    """A drill that waits at its gate, and what else the README shows."""
    page = camera.page
    start_drill(camera)
    wait_until(page, "Paused")
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


def tutorial(camera: Camera, stage: Product, engine: ExitStack) -> None:
    """What docs/tutorial.md does, in its order, up to the gate of the retry."""
    page = camera.page
    failing = {"name": "launch_failed", "servers": ["app-02"], "raw_error": RAW_ERROR}
    stage.simulator.control("POST", "scenarios", failing)
    wait_until_ready(page)
    start_drill(camera, "tutorial-start")
    expect(page.locator("h1 + .status")).to_have_text("Launching", timeout=30_000)
    engine.close()
    expect(page.locator("#engine")).to_contain_text("No engine is running.", timeout=60_000)
    page.wait_for_timeout(4000)
    camera.take("tutorial-no-engine", whole=False)
    stage.start_engine()
    wait_until(page, "Partial")
    camera.take("tutorial-failed", height=900)
    stage.simulator.control("DELETE", "scenarios")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("dialog").get_by_text("Attempt 2 launches")).to_be_visible()
    camera.take("tutorial-retry", whole=False)
    page.get_by_role("dialog").get_by_role("button", name="Launch them again").click()


def tutorial_end(camera: Camera) -> None:
    """From the gate of the retry to the report and the question before its instances are terminated."""
    page = camera.page
    wait_until(page, "Paused")
    camera.take("tutorial-gate", height=900)
    page.get_by_role("button", name="Resume wave 3").click()
    wait_until(page, "Completed")
    run = page.url
    page.get_by_role("link", name="Report").click()
    camera.take("tutorial-report", height=900)
    page.goto(run)
    page.get_by_role("link", name=re.compile("Terminate")).click()
    page.get_by_role("dialog").get_by_label(re.compile("^Type")).fill("terminate 3")
    camera.take("tutorial-terminate", whole=False)


def take_all(camera: Camera, stage: Product) -> None:
    tutorial(camera, stage, stage.start_engine())
    tutorial_end(camera)
    readme(camera)


def main() -> None:
    into = Path(sys.argv[1]) if sys.argv[1:] else REPOSITORY / "docs" / "images"
    into.mkdir(parents=True, exist_ok=True)
    with product() as stage, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        take_all(Camera(browser, stage.address, into), stage)
        browser.close()


if __name__ == "__main__":
    main()
