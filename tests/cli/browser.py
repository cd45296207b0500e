"""A person with a browser, as a process: `python browser.py ADDRESS` signs in there as alice and goes where it leads.

FIRST_GO_TO, if it is set, is visited before the provider's answer is: what another page of the browser may do.
"""

import os
import re
import sys
from urllib.parse import urljoin, urlsplit

import requests

PASSWORD = "correct-horse-battery"


def sign_in(address: str) -> requests.Response:
    """What the person sees at the end."""
    pages = requests.Session()
    page = _forms(pages, pages.get(address, timeout=5))
    refuse = {"refuse": "1"} if os.environ.get("REFUSE") else {"username": "alice", "password": PASSWORD}
    page = pages.post(page.url, refuse, timeout=5, allow_redirects=False)
    while "location" in page.headers:
        target = urljoin(page.url, page.headers["location"])
        if urlsplit(target).hostname == "localhost":
            for other in os.environ.get("FIRST_GO_TO", "").split():
                print(other, pages.get(other, timeout=5).status_code, file=sys.stderr)
        page = pages.get(target, timeout=5, allow_redirects=False)
    return _forms(pages, page)


def _forms(pages: requests.Session, page: requests.Response) -> requests.Response:
    """Send on what a page only asks to be sent on: the code of a device, and that it is the right one."""
    while (form := re.search(r'<form[^>]*action="([^"]+)"', page.text)) and "user_code" in page.text:
        found = re.findall(r'name="(\w+)" value="([^"]*)"', page.text)
        page = pages.post(urljoin(page.url, form[1]), dict(found), timeout=5)
    return page


if __name__ == "__main__":
    print(sign_in(sys.argv[1]).text)
