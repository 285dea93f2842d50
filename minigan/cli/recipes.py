"""``minigan recipes``: the list of recipes."""

from __future__ import annotations

import argparse

from minigan.cli.arguments import Commands, add_command, add_quiet


def list_recipes(options: argparse.Namespace) -> None:
    """Print each recipe's name, title, data, length and source."""
    from minigan import recipes

    for name in recipes.names():
        recipe = recipes.get(name)
        steps, batch_size = recipe.settings.steps, recipe.settings.batch_size
        print(f"{name:<13} {recipe.title}")
        print(f"{'':<13} data: {recipe.data}; {steps:,} steps of {batch_size}; {recipe.duration}")
        print(f"{'':<13} from: {recipe.source}\n")


def add_commands(commands: Commands) -> None:
    """Add ``minigan recipes``."""
    add_quiet(add_command(commands, "recipes", list_recipes, "list the recipes"))
