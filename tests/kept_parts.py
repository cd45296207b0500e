"""Each kept part of a page is drawn again, and has to be as it was kept: its facts are all that it is drawn with."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.template.context import Context
from django.utils.safestring import SafeString

from console.templatetags.kept_parts import KeptPart

AS_KEPT = KeptPart.render


@contextmanager
def drawn_again() -> Iterator[None]:
    def render(part: KeptPart, context: Context) -> SafeString:
        found = AS_KEPT(part, context)
        anew = part.draw(context)
        assert found == anew, f"A part was kept though it is another by now:\n{found}\n{anew}"
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptPart, "render", render)
        yield
