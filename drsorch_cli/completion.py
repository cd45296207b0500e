"""Scripts that complete verbs and options, made from the command line itself."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drsorch_cli.exits import Exit
from drsorch_cli.options import VERBS, parser

if TYPE_CHECKING:
    from drsorch_cli.output import Output

BASH = """\
_drsorch() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then words="{verbs}"; else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  case "$word" in
    -*|"") COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) [ "$COMP_CWORD" -eq 1 ] || words=""
       COMPREPLY=($(compgen -W "$words" -- "$word"; [ -n "$words" ] || compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _drsorch drsorch
"""
ZSH = "autoload -Uz bashcompinit && bashcompinit\n"


def complete(asked: argparse.Namespace, output: "Output") -> Exit:
    """The script for a shell."""
    options = dict(_options())
    if asked.shell == "fish":
        text = "\n".join(_fish(options))
    else:
        cases = "\n".join(f'      {name}) words="{" ".join(found)}" ;;' for name, found in options.items())
        text = (ZSH if asked.shell == "zsh" else "") + BASH.format(verbs=" ".join(options), cases=cases)
    output.result({"shell": asked.shell, "script": text}, text)
    return Exit.DONE


def _options() -> Iterator[tuple[str, list[str]]]:
    verbs = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, made in verbs.choices.items():
        yield name, [flag for action in made._actions for flag in action.option_strings if flag.startswith("--")]


def _fish(options: dict[str, list[str]]) -> Iterator[str]:
    yield "complete -c drsorch -f -n __fish_use_subcommand -l version"
    for verb in VERBS:
        yield f"complete -c drsorch -f -n __fish_use_subcommand -a {verb.name} -d '{verb.about}'"
        for flag in options[verb.name]:
            yield f"complete -c drsorch -n '__fish_seen_subcommand_from {verb.name}' -l {flag.removeprefix('--')}"
