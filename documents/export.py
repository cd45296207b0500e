"""The whole configuration as a document, in an order that does not depend on when things were made."""

from collections.abc import Mapping

from documents.format.kinds import Item, Key, Kind, in_short
from documents.format.text import as_json, as_yaml
from documents.format.waves_csv import as_csv
from documents.stored import masked, stored

TYPES: Mapping[str, str] = {
    "json": "application/json",
    "yaml": "application/yaml",
    "csv": "text/csv; charset=utf-8",
}
WHOLE = "notify.change_subscription"  # the right to see the paths of webhooks, too


def exported(form: str, *, whole: bool) -> str:
    """As `json`, `yaml` or, of all waves, `csv`. `whole` is for those who may change subscriptions; others see no path
    of a webhook, and what they see in its place keeps what stands when they apply it here."""
    current = {key: each.item for key, each in stored().items()}
    if form == "csv":
        return as_csv(current)
    listed = [in_short(item if whole else masked(item)) for item in _in_order(current)]
    return as_yaml(listed) if form == "yaml" else as_json(listed)


def _in_order(current: Mapping[Key, Item]) -> list[Item]:
    kinds = list(Kind)
    return [current[key] for key in sorted(current, key=lambda each: (kinds.index(each[0]), each[1]))]
