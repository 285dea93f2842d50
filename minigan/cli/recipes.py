"""``minigan recipes``, the list of recipes, and ``minigan recipe new``, one of your own."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigan.cli.arguments import Commands, add_command, add_quiet, conclude


def list_recipes(options: argparse.Namespace) -> None:
    """Print each recipe's name, title, data, length and source."""
    from minigan import recipes

    width = max(map(len, recipes.names())) + 1
    for name in recipes.names():
        recipe = recipes.get(name)
        steps, batch_size = recipe.settings.steps, recipe.settings.batch_size
        print(f"{name:<{width}} {recipe.title}")
        print(
            f"{'':<{width}} data: {recipe.data}; {steps:,} steps of {batch_size}; {recipe.duration}"
        )
        print(f"{'':<{width}} from: {recipe.source}\n")


def new_recipe(options: argparse.Namespace) -> None:
    """Write a commented recipe file to start from."""
    from minigan.recipes import files

    path = files.write_new(options.name, Path())
    conclude(options, f"A recipe to change is in {path}; train it with `minigan train {path}`")


def add_commands(commands: Commands) -> None:
    """Add ``minigan recipes`` and ``minigan recipe``."""
    add_quiet(add_command(commands, "recipes", list_recipes, "list the recipes"))
    parser = add_command(
        commands, "recipe", new_recipe, "write a recipe file of your own to start from"
    )
    add_quiet(parser)
    parser.add_argument("what", choices=["new"], metavar="new", help="write a new file")
    parser.add_argument("name", metavar="NAME", help="its name, and that of the file: NAME.py")
