"""`{% kept fact … %} … {% endkept %}`: a part of a page that is drawn once for the same facts.

Drawing fifty rows takes three quarters of a list's time, and most rows are as they were. The facts have to be all that
the part is drawn with, times as texts too: `tests/kept_parts.py` draws each part again in every test, and
compares. Loaded into every template.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock

from django import template
from django.forms import BoundField
from django.template import TemplateSyntaxError
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.context import Context
from django.utils.safestring import SafeString

register = template.Library()
MOST = 2000  # drawings of one part that a process keeps, the last used


class KeptPart(Node):
    """The part, with its drawings by their facts."""

    def __init__(self, inside: NodeList, facts: Sequence[FilterExpression]) -> None:
        self.nodelist, self._facts = inside, facts
        self._drawn, self._lock = OrderedDict[Hashable, SafeString](), Lock()

    def render(self, context: Context) -> SafeString:
        facts = tuple(each.resolve(context) for each in self._facts)
        with self._lock:
            found = self._drawn.get(facts)
            if found is not None:
                self._drawn.move_to_end(facts)
                return found
        drawn = self.draw(context)
        with self._lock:
            self._drawn[facts] = drawn
            if len(self._drawn) > MOST:
                self._drawn.popitem(last=False)
        return drawn

    def draw(self, context: Context) -> SafeString:
        """As it is drawn with these facts."""
        return self.nodelist.render(context)


@register.tag
def kept(parser: Parser, token: Token) -> KeptPart:
    facts = [parser.compile_filter(each) for each in token.split_contents()[1:]]
    if not facts:
        raise TemplateSyntaxError("{% kept %} needs the facts that the part is drawn with.")
    inside = parser.parse(("endkept",))
    parser.delete_first_token()
    return KeptPart(inside, facts)


@register.filter
def drawn_with(field: BoundField) -> tuple[Hashable, ...]:
    """All that a field of a form and its label are drawn with."""
    widget, choices = field.field.widget, getattr(field.field, "choices", ())
    said = (field.label, field.value(), field.help_text, field.errors, field.field.required, field.field.disabled)
    kind = type(widget).__qualname__
    return kind, field.html_name, field.auto_id, repr(said), repr(widget.attrs), repr(list(choices))
