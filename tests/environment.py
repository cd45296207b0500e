"""The environment that every test runs in, set before Django reads its settings.

pytest loads this module as a plugin (`-p tests.environment`). From a shell,
`python -m tests.environment mypy` runs mypy, or any other command, in the same environment.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

FOREIGN = ("AWS_", "COGNITO_", "DJANGO_", "DRSORCH_")

# Where the `simulator` fixture will listen. boto3 clients are kept for a whole process, so the address must be known
# before the first one is made; bound but not listening, the port is nobody else's and refuses connections.
RESERVED = socket.socket()
RESERVED.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
RESERVED.bind(("127.0.0.1", 0))
atexit.register(RESERVED.close)
SIMULATOR_PORT: int = RESERVED.getsockname()[1]
SIMULATOR_URL = f"http://127.0.0.1:{SIMULATOR_PORT}"

# Nothing that a developer's shell knows about a real AWS account or installation may reach a test.
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL_DRS": SIMULATOR_URL,
    "AWS_ENDPOINT_URL_STS": SIMULATOR_URL,
    "AWS_ENDPOINT_URL_EC2": SIMULATOR_URL,
    "AWS_ENDPOINT_URL_IAM": SIMULATOR_URL,
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS": SIMULATOR_URL,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # whatever else: refused at once
    "DJANGO_SETTINGS_MODULE": "drsorch_site.settings",
    "DJANGO_SECRET_KEY": "the-tests-need-no-secret-but-a-long-one",
    # One address makes the requests of all tests; the tests of the throttle set their own rates.
    "DRSORCH_THROTTLE_ANON": "100000/min",
    "DRSORCH_THROTTLE_USER": "100000/min",
    "DRSORCH_THROTTLE_START": "100000/min",
    "DRSORCH_THROTTLE_DISCOVERY": "100000/min",
    "DRSORCH_THROTTLE_DOOR": "100000/min",
    "DJANGO_ALLOWED_HOSTS": "127.0.0.1,localhost,testserver",
    # Playwright's synchronous interface keeps an event loop in the thread that also uses the ORM.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}


def prepare() -> None:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    # Each of the many processes that tests start would compile the whole product anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ.update(SETTINGS)
    if "DATABASE_URL" not in os.environ:
        # A file, not memory: threads and processes must meet in it. One a run, so that runs do not meet.
        directory = Path(tempfile.mkdtemp(prefix="drsorch-tests-"))
        atexit.register(remove, directory, os.getpid())
        os.environ["DATABASE_URL"] = f"sqlite:///{directory}/db.sqlite3"


def remove(directory: Path, owner: int) -> None:
    """Only for the process that made it: a forked child must not take the database away."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


prepare()

if __name__ == "__main__":
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
