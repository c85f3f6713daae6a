"""The command line: one place that composes the commands and turns errors into exit codes.

Heavy parts (trio, the screen) are imported by the command that needs them, so that ``--version`` and
completion stay quick. Standard output carries results only.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from console import (
    cli_backup,
    cli_change,
    cli_chaos,
    cli_cluster,
    cli_cluster_config,
    cli_data,
    cli_keyspace,
    cli_placement,
    cli_scenario,
)
from console.cli_cluster import Json, Name, SecretFile, take_secret
from console.cli_merges import merges
from console.cli_output import print_json, print_table, report_error, result, tell
from console.cli_policy_sim import policy_sim
from console.errors import ConsoleError, UsageError
from console.exit_codes import ExitCode

app = typer.Typer(
    name="ringdeck",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A distributed cache that you can watch, break and heal from one terminal.",
)
cli_cluster.app.add_typer(cli_placement.app)
cli_cluster.app.add_typer(cli_change.app, name="change")
cli_cluster.app.add_typer(cli_cluster_config.app, name="config")
cli_cluster.app.command("policies")(cli_cluster_config.policies)
app.add_typer(cli_cluster.app, name="cluster")
app.add_typer(cli_chaos.app, name="chaos")
app.add_typer(cli_keyspace.app, name="keyspace")
app.add_typer(cli_data.app)
app.add_typer(cli_backup.app)
app.add_typer(cli_scenario.demo_app, name="demo")
app.add_typer(cli_scenario.app, name="scenario")
cli_cluster.app.command("merges")(merges)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            result(f"ringdeck {version('ringdeck')}")
        except PackageNotFoundError:
            result("ringdeck (not installed)")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _secret_file: Annotated[
        str,
        typer.Option(
            "--secret-file",
            envvar="RINGDECK_SECRET_FILE",
            callback=take_secret,
            help="File with the cluster's secret.",
            metavar="FILE",
        ),
    ] = "",
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Without a command: the console; attaches when a cluster of this name runs."""
    if context.invoked_subcommand is None:
        console()


@app.command()
def console(  # noqa: PLR0913 - one parameter an option
    name: Name = "default",
    _secret_file: SecretFile = "",
    nodes: Annotated[int, typer.Option(help="How many nodes to start.", min=1, max=32)] = 5,
    attach: Annotated[
        str, typer.Option("--attach", help="Watch this member's cluster.", metavar="HOST:PORT")
    ] = "",
    data: Annotated[str, typer.Option("--data", help="Keep the nodes' state here.")] = "",
    no_load: Annotated[bool, typer.Option("--no-load", help="Make no load.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only watch.")] = False,
    theme: Annotated[str | None, typer.Option("--theme", help="Name of the theme.")] = None,
    glyphs: Annotated[
        str | None, typer.Option("--glyphs", help="Signs to draw with.", metavar="full|block|ascii")
    ] = None,
    refresh: Annotated[
        float | None, typer.Option("--refresh", help="Seconds between snapshots, 0.25 to 10.")
    ] = None,
    mouse: Annotated[
        bool | None, typer.Option("--mouse/--no-mouse", help="Whether to take the mouse.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines of words, no screen.")] = False,
    json_: Json = False,
) -> None:
    """Watch the ring, heat and breakers; break and heal by keystroke."""
    from console.runtime.open_console import ConsoleOptions, open_screen

    options = ConsoleOptions(
        name or os.environ.get("RINGDECK_NAME") or "default",
        nodes,
        attach or None,
        data,
        not no_load,
        read_only,
        {"theme": theme, "glyphs": glyphs, "refresh": refresh, "mouse": mouse},
    )
    if plain or json_:
        from console.runtime.plain_console import watch

        watch(options, json_=json_)
        return
    code = open_screen(options)
    if code:
        raise typer.Exit(code)


@app.command(context_settings={"ignore_unknown_options": False})
def node(  # noqa: PLR0913 - one parameter an option
    config: Annotated[str, typer.Option("--config", help="TOML file.", metavar="FILE")] = "",
    id_: Annotated[str, typer.Option("--id", help="Stable name of the node.")] = "",
    bind: Annotated[str, typer.Option("--bind", help="Native address.", metavar="HOST:PORT")] = "",
    resp: Annotated[str, typer.Option("--resp", help="Redis address.", metavar="HOST:PORT")] = "",
    http: Annotated[str, typer.Option("--http", help="HTTP address.", metavar="HOST:PORT")] = "",
    join: Annotated[
        list[str] | None, typer.Option("--join", help="A member to join.", metavar="HOST:PORT")
    ] = None,
    data_dir: Annotated[str, typer.Option("--data-dir", help="Where its state is kept.")] = "",
    enable_chaos: Annotated[bool, typer.Option("--enable-chaos", help="Allow faults.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting.", metavar="KEY=VALUE")
    ] = None,
    validate: Annotated[bool, typer.Option("--validate", help="Only check the settings.")] = False,
    json_: Json = False,
) -> None:
    """Run one node in the foreground, without a screen; it logs to standard error.

    Settings come from the file, then RINGDECK_ variables, then flags: the last wins. The JSON object
    tells where the node serves, once it does; with --validate, what is wrong.
    """
    typed = {
        "node_id": id_,
        "bind.native": bind,
        "bind.resp": resp,
        "bind.http": http,
        "join": ",".join(join or []),
        "data_dir": os.path.abspath(data_dir) if data_dir else "",
        "enable_chaos": "true" if enable_chaos else "",
    }
    arguments = [sys.executable, "-m", "nodecore.runtime"]
    if config:
        arguments += ["--config", config]
    for key, value in typed.items():
        if value:
            arguments += ["--set", f"{key}={value}"]
    for assignment in settings or []:
        arguments += ["--set", assignment]
    arguments += ["--validate"] * validate + ["--json"] * json_
    from console.runtime.processes import python_environment

    # The node takes this process's place: signals and exit status are its own.
    os.execve(sys.executable, arguments, python_environment(os.environ))


@app.command()
def logs(
    node_id: Annotated[str, typer.Argument(metavar="NODE")],
    name: Name = "default",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many.", min=0)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print the end of a node's log."""
    from console.log_lines import parse_log_line
    from console.runtime.cluster_commands import log_path
    from console.runtime.log_follower import follow_lines, log_size
    from console.runtime.state_dir import tail

    def show(line: str) -> None:
        if json_:
            print_json({"node": node_id, **parse_log_line(line)})
        else:
            result(line)

    path = log_path(name, node_id)
    end = log_size(path)
    if not end:
        tell(f"nothing logged yet: {path}")
    for line in tail(path, lines, end):
        show(line)
    if follow:
        for line in follow_lines(path, end):
            show(line)


@app.command()
def config(json_: Json = False) -> None:
    """Print the console's preferences, each with where it is from, and the files."""
    from console.config import SETTINGS
    from console.runtime.config_files import config_folder, read_preferences
    from console.runtime.state_dir import home

    preferences, warnings = read_preferences({})
    folders = {"config_folder": str(config_folder()), "state_folder": str(home())}
    rows = [
        (setting.name, *preferences.chosen[setting.name], setting.variable, setting.help)
        for setting in SETTINGS
    ]
    for warning in warnings:
        tell(f"warning: {warning}")
    if json_:
        settings = {row[0]: {"value": row[1], "source": row[2]} for row in rows}
        bound = {
            action_id: {"keys": keys, "source": preferences.keymap_sources[action_id]}
            for action_id, keys in preferences.keymap.items()
        }
        print_json({**folders, "settings": settings, "keymap": bound, "warnings": warnings})
        return
    columns = ("setting", "value", "from", "variable", "what it is")
    print_table(columns, [(name, _word(value), *rest) for name, value, *rest in rows])
    bindings = [
        (action_id, keys, preferences.keymap_sources[action_id])
        for action_id, keys in preferences.keymap.items()
    ]
    if bindings:
        print_table(("action", "keys", "from"), bindings)
    for name, folder in folders.items():
        result(f"{name.replace('_', ' ')}: {folder}")


@app.command()
def doctor(json_: Json = False) -> None:
    """Check what this machine offers: versions, compiled parts, ports, limits."""
    from console.runtime.doctor import examine

    findings = examine()
    if json_:
        print_json([{"what": f.what, "found": f.found, "ok": f.ok} for f in findings])
    else:
        for finding in findings:
            result(f"{'ok ' if finding.ok else 'BAD'} {finding.what}: {finding.found}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


app.command("policy-sim")(policy_sim)


def _word(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if sys.platform == "win32":
        tell("ringdeck: native Windows is not supported; use WSL 2")
        return ExitCode.USAGE
    from console.runtime.secret import HELD

    HELD.forget()
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="ringdeck")
    except ConsoleError as error:
        report_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        tell("interrupted")
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        # Typer and rich make an exit of their own of a reader who has seen enough; that is no failure.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # Nothing more may be written when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        # Usage errors know how to show themselves; anything else is a defect and must be seen.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return ExitCode.USAGE
    return code if isinstance(code, int) else ExitCode.OK


__all__ = ["UsageError", "app", "main", "run"]

if __name__ == "__main__":
    main()
