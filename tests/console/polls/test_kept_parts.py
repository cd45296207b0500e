"""Parts of pages that are drawn once for the same facts (console.templatetags.kept_parts)."""

import threading
from itertools import count

import pytest
from django.template import Context, Template, TemplateSyntaxError

from console.templatetags.kept_parts import MOST, KeptPart
from tests.kept_parts import AS_KEPT, drawn_again

ROW = "{% kept name is_poll %}<td>{{ name }}{{ is_poll }} {{ drawn }}</td>{% endkept %}"


class Drawn:
    """Says how often it was drawn."""

    def __init__(self) -> None:
        self._times = count(1)

    def __str__(self) -> str:
        return str(next(self._times))


@pytest.fixture(autouse=True)
def without_drawing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeptPart, "render", AS_KEPT)


def test_the_same_facts_are_drawn_once_and_others_anew() -> None:
    template, drawn = Template(ROW), Drawn()

    def draw(name: str, is_poll: bool = False) -> str:
        return template.render(Context({"name": name, "is_poll": is_poll, "drawn": drawn}))

    assert draw("<db>") == draw("<db>") == "<td>&lt;db&gt;False 1</td>"
    assert draw("<db>", is_poll=True) == "<td>&lt;db&gt;True 2</td>"
    assert draw("web") == "<td>webFalse 3</td>"
    assert draw("<db>") == "<td>&lt;db&gt;False 1</td>"


def test_what_was_used_last_is_kept_and_no_more_than_so_many() -> None:
    template = Template(ROW)
    part = template.nodelist.get_nodes_by_type(KeptPart)[0]
    assert isinstance(part, KeptPart)
    for name in range(MOST + 100):
        template.render(Context({"name": 0, "drawn": ""}))
        template.render(Context({"name": name, "drawn": ""}))
    assert len(part._drawn) == MOST
    assert (0, "") in part._drawn
    assert (1, "") not in part._drawn


def test_threads_draw_each_its_own() -> None:
    template, wrong = Template(ROW), list[str]()

    def draw(name: int) -> None:
        for turn in range(200):
            found = template.render(Context({"name": f"{name}.{turn % 50}", "is_poll": "", "drawn": ""}))
            if found != f"<td>{name}.{turn % 50} </td>":
                wrong.append(found)

    threads = [threading.Thread(target=draw, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_part_says_what_it_is_drawn_with() -> None:
    with pytest.raises(TemplateSyntaxError, match="needs the facts"):
        Template("{% kept %}x{% endkept %}")


def test_a_part_whose_facts_are_not_all_fails_every_test_that_shows_it() -> None:
    template = Template("{% kept name %}{{ name }} {{ status }}{% endkept %}")
    with drawn_again():
        template.render(Context({"name": "db", "status": "RUNNING"}))
        with pytest.raises(AssertionError, match="another by now"):
            template.render(Context({"name": "db", "status": "FAILED"}))
