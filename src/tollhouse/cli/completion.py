"""tollhouse completion: prints what a shell needs to complete commands."""

import click
from click.shell_completion import get_completion_class

from tollhouse.cli.output import fail, say


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print completion for SHELL; e.g. `eval "$(tollhouse completion bash)"`."""
    kind = get_completion_class(shell)
    if kind is None:
        fail(f"no completion for {shell}")
    root = ctx.find_root().command
    say(kind(root, {}, "tollhouse", "_TOLLHOUSE_COMPLETE").source())
