"""``minigan completion``: a script with which a shell completes commands, options and recipes."""

from __future__ import annotations

import argparse
from typing import Any

from minigan.cli.arguments import Commands, add_command

SHELLS = ("bash", "zsh", "fish")

BASH = """\
_minigan() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
    COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
}}
complete -o filenames -F _minigan minigan
"""
"""A plain function; zsh runs it too, with its emulation of bash's completion."""


def completion(options: argparse.Namespace) -> None:
    """Print the script for a shell."""
    words = completions(options.whole)
    if options.shell == "fish":
        print(_fish(words), end="")
        return
    if options.shell == "zsh":
        print("autoload -U +X bashcompinit && bashcompinit")
    cases = "\n".join(f'        {name}) words="{" ".join(of)}" ;;' for name, of in words.items())
    print(BASH.format(cases=cases, commands=" ".join(words)), end="")


def completions(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return, for each command, the words that may follow it: options, recipes, choices."""
    from minigan import recipes

    found: dict[str, list[str]] = {}
    for name, command in _commands(parser).items():
        words: list[str] = []
        for action in command._actions:
            words += [flag for flag in action.option_strings if flag.startswith("--")]
            words += [str(choice) for choice in action.choices or ()]
            words += recipes.names() if action.dest == "recipe" else ()
        found[name] = words
    return found


def _commands(parser: Any) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def _fish(words: dict[str, list[str]]) -> str:
    lines = [f"complete -c minigan -n __fish_use_subcommand -f -a '{' '.join(words)}'"]
    for name, of in words.items():
        seen = f"__fish_seen_subcommand_from {name}"
        lines.append(f"complete -c minigan -n '{seen}' -a '{' '.join(of)}'")
    return "\n".join(lines) + "\n"


def add_commands(commands: Commands) -> None:
    """Add ``minigan completion``."""
    parser = add_command(
        commands,
        "completion",
        completion,
        "print a script that completes commands in your shell",
        "Print a script with which your shell completes commands, options and recipes; for bash: "
        'eval "$(minigan completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS, help="your shell")
