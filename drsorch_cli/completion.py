"""Scripts that complete verbs and options, made from the command line itself."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drsorch_cli.exits import Exit
from drsorch_cli.options import VERBS, parser

if TYPE_CHECKING:
    from drsorch_cli.output import Output

# Lines are read one by one: names of files have blanks, and the bash of macOS has no mapfile.
BASH = """\
_drsorch() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words="" values="" each
  if [ "$COMP_CWORD" -eq 1 ]; then values="{verbs} --help --version"; else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "${{COMP_WORDS[1]}} $before" in
{choices}
    esac
  fi
  COMPREPLY=()
  while IFS= read -r each; do COMPREPLY+=("$each"); done < <(
    if [ -n "$values" ]; then compgen -W "$values" -- "$word"; else
      case "$word" in
        -*) compgen -W "$words" -- "$word" ;;
        "") compgen -W "$words" -- "$word"; compgen -f ;;
        *) compgen -f -- "$word" ;;
      esac
    fi
  )
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
        values = "\n".join(f'      "{where}") values="{" ".join(found)}" ;;' for where, found in _choices())
        bash = BASH.format(verbs=" ".join(options), cases=cases, choices=values)
        text = (ZSH if asked.shell == "zsh" else "") + bash
    output.result({"shell": asked.shell, "script": text}, text)
    return Exit.DONE


def _options() -> Iterator[tuple[str, list[str]]]:
    for name, actions in _verbs():
        yield name, [flag for action in actions for flag in action.option_strings if flag.startswith("--")]


def _choices() -> Iterator[tuple[str, list[str]]]:
    """What can follow a verb and an option, or a verb alone."""
    for name, actions in _verbs():
        for action in actions:
            for flag in action.option_strings or [name]:
                if action.choices:
                    yield f"{name} {flag}", [str(each) for each in action.choices]


def _verbs() -> Iterator[tuple[str, list[argparse.Action]]]:
    verbs = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, made in verbs.choices.items():
        yield name, made._actions


def _fish(options: dict[str, list[str]]) -> Iterator[str]:
    yield "complete -c drsorch -f -n __fish_use_subcommand -l version"
    for verb in VERBS:
        yield f"complete -c drsorch -f -n __fish_use_subcommand -a {verb.name} -d '{verb.about}'"
        for flag in options[verb.name]:
            yield f"complete -c drsorch -n '__fish_seen_subcommand_from {verb.name}' -l {flag.removeprefix('--')}"
