"""A list of very many, sent while it is made: a worker has a part of it in memory at any time, not the whole."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from contract.rest.answers.renderers import CompactJson


def streamed(
    name: str, batches: Iterable[Sequence[Any]], rest: Callable[[], Mapping[str, Any]]
) -> StreamingHttpResponse:
    """An object of JSON whose `name` is the list of all batches together; `rest`, asked behind them, are its others. It
    has no ETag: nobody knows its end when it begins."""
    return StreamingHttpResponse(_parts(name, batches, rest), content_type="application/json")


def _parts(name: str, batches: Iterable[Sequence[Any]], rest: Callable[[], Mapping[str, Any]]) -> Iterator[bytes]:
    json = CompactJson()
    yield b'{"%s":[' % name.encode()
    before = b""
    for batch in batches:
        if batch:
            yield before + json.render(batch)[1:-1]
            before = b","
    yield b"]," + json.render(rest())[1:]
