"""`make demo`: a whole sharedline on this machine, until Ctrl-C.

Contract: starts an Asterisk of its own on free ports of 127.0.0.1, a database in var/demo, the
controller, three phones (Ann, Bob, Cat) and callers who dial their number one after the other; ends
all of it, by pid, however it ends. Everything is set up with the command line that a user has.
"""

import asyncio
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ari_app.store import engine as database
from tests.lab.asterisk import AsteriskInstance
from tests.lab.live import Screen
from tests.lab.outgoing import Outgoing
from tests.lab.phones import Lab
from tests.lab.ring import Ring
from tests.lab.root import CHECKOUT, LabError, ensure_root
from tests.lab.waiting import Missed

FOLDER = CHECKOUT / "var/demo"
NUMBER = "+4930555001"
AGENTS = ("ann", "bob", "cat")
CALLERS = (("+491701111111", "Emma"), ("+491702222222", "Noah"), ("+491703333333", "Mia"))
HABITS = {"ann": (4, 15), "bob": (6, 12), "cat": (9, 20)}  # answers after s, talks for s
BETWEEN_CALLERS_S = 7
PATIENCE_S = 40
START_S = 15


def say(text: str) -> None:
    """A progress line."""
    print(text, file=sys.stderr, flush=True)


class Demo:
    """The parts, and how they are started and ended."""

    def __init__(self) -> None:
        self.passwords = {name: secrets.token_urlsafe(12) for name in AGENTS}
        self.controller: subprocess.Popen[bytes] | None = None

    def prepare(self, asterisk: AsteriskInstance) -> None:
        """The environment file, the `sharedline` beside it, and a number with its members."""
        settings = {
            "DATABASE_URL": f"sqlite:///{FOLDER}/sharedline.db",
            "ARI_URL": asterisk.ari_url,
            "ARI_PASSWORD": asterisk.ari_password,
            "REGION": "DE",
            "SIP_SERVER": f"127.0.0.1:{asterisk.sip_port}",
            "SPOOL_DIR": str(asterisk.folder / "spool/sharedline"),
        }
        (asterisk.folder / "spool/sharedline").mkdir(parents=True, exist_ok=True)
        env = FOLDER / "sharedline.env"
        env.touch(mode=0o600)
        env.write_text("".join(f"SHAREDLINE_{key}={value}\n" for key, value in settings.items()))
        command = FOLDER / "sharedline"
        command.write_text(f'#!/bin/sh\nSHAREDLINE_ENV_FILE="{env}" exec "{_installed()}" "$@"\n')
        command.chmod(0o755)
        sharedline("db", "upgrade")
        sharedline("numbers", "add", NUMBER, "--label", "Demo")
        for name in AGENTS:
            sharedline("agents", "add", name, "--endpoint", f"PJSIP/{name}")
            sharedline("members", "add", NUMBER, name)

    def serve(self) -> None:
        """Start the controller; its log goes to var/demo/controller.log."""
        with (FOLDER / "controller.log").open("wb") as log:
            self.controller = subprocess.Popen(
                [FOLDER / "sharedline", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )

    async def until_it_decides(self) -> None:
        """Wait for the controller. Raises LabError with its last line."""
        log = FOLDER / "controller.log"
        deadline = time.monotonic() + START_S
        while "deciding" not in (said := log.read_text(errors="replace")):
            if self.controller is None or self.controller.poll() is not None:
                raise LabError(f"the controller ended: {said.splitlines()[-1:]}")
            if time.monotonic() > deadline:
                raise LabError(f"the controller does not start: see {log}")
            await asyncio.sleep(0.05)

    def end(self) -> None:
        """End the controller, by its pid."""
        if self.controller is not None and self.controller.poll() is None:
            self.controller.terminate()
            try:
                self.controller.wait(10)
            except subprocess.TimeoutExpired:
                self.controller.kill()
                self.controller.wait()


def _installed() -> Path:
    return Path(sys.executable).with_name("sharedline")


def sharedline(*arguments: str) -> None:
    """The command line, as a user has it. Raises LabError with what it says."""
    done = subprocess.run(
        [FOLDER / "sharedline", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"sharedline {' '.join(arguments)}: {done.stderr.strip()}")
    say(f"  sharedline {' '.join(arguments)}")


def answering(name: str) -> Callable[[Ring], None]:
    """What the agent does when the phone rings: let it ring a while, talk a while, hang up."""
    answer_s, talk_s = HABITS[name]

    async def take(ring: Ring) -> None:
        await asyncio.sleep(answer_s)
        if ring.is_ringing:
            ring.answer()
            await asyncio.sleep(talk_s)
            await ring.hang_up()

    def behave(ring: Ring) -> None:
        ring.ringing()
        ring.agent.spawn(take(ring))

    return behave


async def keep_calling(lab: Lab) -> None:
    """One caller after the other, for ever; a caller who isn't answered in time gives up."""
    async with asyncio.TaskGroup() as tasks:
        for number, name in itertools.cycle(CALLERS):
            call = await lab.caller_dials(NUMBER, caller=number, name=name)
            tasks.create_task(_wait_and_talk(call))
            await asyncio.sleep(BETWEEN_CALLERS_S)


async def _wait_and_talk(call: Outgoing) -> None:
    try:
        await call.answered(PATIENCE_S)
        await call.hung_up(60)
    except Missed:
        await (call.hang_up() if call.talking else call.cancel())


async def demonstrate(asterisk: AsteriskInstance, demo: Demo) -> None:
    """Calls and the live view, until cancelled."""
    await demo.until_it_decides()
    screen = Screen(database.open_engine(f"sqlite:///{FOLDER}/sharedline.db"), _hints())
    async with Lab(asterisk) as lab, asyncio.TaskGroup() as tasks:
        for name in AGENTS:
            await lab.shaped_phone(name, answering(name))
        tasks.create_task(keep_calling(lab))
        await screen.run()


def _hints() -> tuple[str, ...]:
    command = os.path.relpath(FOLDER / "sharedline")
    return (
        f"{command} calls list",
        f"{command} members remove {NUMBER} bob",
        f"{command} doctor",
    )


async def _until_stopped(asterisk: AsteriskInstance, demo: Demo) -> None:
    task = asyncio.ensure_future(demonstrate(asterisk, demo))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        say("stopping")


def main() -> int:
    """Run the demo; the exit code."""
    demo = Demo()
    try:
        root = ensure_root()
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        say("starting Asterisk, the controller and three phones")
        with AsteriskInstance(root, folder=FOLDER / "asterisk", phones=demo.passwords) as asterisk:
            try:
                demo.prepare(asterisk)
                demo.serve()
                asyncio.run(_until_stopped(asterisk, demo))
            finally:
                demo.end()
    except LabError as error:
        say(f"make demo: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
