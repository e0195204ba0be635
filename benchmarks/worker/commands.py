"""What a worker can be told to do."""

import gc
import os
import sys
from importlib import import_module
from importlib.metadata import distributions
from pipes import Pipes
from typing import Any

from lifespan import Lifespan
from load import Load, once


async def serve_commands(pipes: Pipes) -> None:
    """Answer commands until `stop`.

    `start` imports the application and runs its start-up, `once` answers one request's status and
    body, `measure` loads it, `stop` runs its shut-down. After an answer to `stop` the process stays
    until its input ends, so that what it left open can be counted from outside.
    """
    commands = pipes.listen()
    command = await commands.get()
    os.environ["BENCHMARK_URL"] = command["url"]
    app: Any = import_module("app").app
    lifespan = Lifespan(app)
    await lifespan.start()
    pipes.answer({"python": sys.version.split()[0], "packages": _packages()})
    while True:
        command = await commands.get()
        match command.pop("do"):
            case "once":
                status, body = await once(app, lifespan.state, **command)
                pipes.answer({"status": status, "body": body.decode(errors="replace")})
            case "measure":
                load = Load(app, lifespan.state, command["method"], command["paths"])
                before = outcome = await load.run(command["lead_in"], command)
                if not before["unanswered"]:
                    gc.collect()
                    outcome = await load.run(command["requests"], command)
                    outcome["failures"] += before["failures"]
                    outcome["held"] += before["held"]
                pipes.answer(outcome)
            case "stop":
                await lifespan.stop()
                pipes.answer({})
                await commands.get()
            case unknown:
                raise ValueError(f"no command {unknown!r}")


def _packages() -> dict[str, str]:
    return {each.name.lower().replace("_", "-"): each.version for each in distributions()}
