"""Commands on their way to Asterisk: first in, first out for each call; calls side by side.

A command's answer comes back as a happening, and its row in the outbox goes with the batch that
holds the answer. Where no answer comes, the command's own `repeat` decides.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from http import HTTPStatus

from ari_app.ari import requests
from ari_app.ari.client import Reply
from ari_app.ari.requests import UNKNOWN, UNSENT, Outcome, Request
from ari_app.core.commands import Command, Repeat, is_too_late
from ari_app.core.events import CommandDone, CommandFailed
from ari_app.runtime.clock import Clock
from ari_app.runtime.happenings import Answered
from ari_app.store.store import Sent

PAUSES_S = (0.1, 0.4, 1.6)
TOO_LATE = Reply(HTTPStatus.REQUEST_TIMEOUT, b"too late to be sent")


class Lanes:
    """Whose turn it is: one command of a call is on its way at a time. No I/O in here."""

    def __init__(self) -> None:
        self._lanes: dict[int, deque[Sent]] = {}

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def put(self, sent: Sent) -> bool:
        """Queue the command; True if nothing of its call is on its way, so that it may leave."""
        lane = self._lanes.setdefault(sent.command.call, deque())
        lane.append(sent)
        return len(lane) == 1

    def answered(self, call: int) -> Sent | None:
        """The command of the call that was on its way is answered; the next one, if any."""
        lane = self._lanes[call]
        lane.popleft()
        if lane:
            return lane[0]
        del self._lanes[call]
        return None


class Outbox:
    """Carries commands out and reports each answer once."""

    def __init__(
        self,
        send: Callable[[Request], Awaitable[Reply]],
        app: str,
        report: Callable[[Answered], None],
        clock: Clock,
        spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]],
    ) -> None:
        self._spawn = spawn  # a task group's: a bug in here ends the controller, not one lane
        self._send = send
        self._app = app
        self._report = report
        self._clock = clock
        self._lanes = Lanes()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, commands: Iterable[Sent]) -> None:
        """Send each as soon as those of its call before it are answered."""
        for sent in commands:
            if self._lanes.put(sent):
                task = self._spawn(self._drive(sent))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def urgently(self, commands: Iterable[Command]) -> None:
        """Send past the lanes, unrecorded: to give callers back while the database is away."""
        for command in commands:
            await self._send(requests.request(command, self._app))

    async def idle(self) -> None:
        """Wait until every command is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Leave what is unanswered to the next controller: it is in the outbox's rows."""
        for task in self._tasks:
            task.cancel()

    async def _drive(self, sent: Sent) -> None:
        following: Sent | None = sent
        while following is not None:
            command = following.command
            self._report(Answered(following.id, await self._carry_out(command)))
            following = self._lanes.answered(command.call)

    async def _carry_out(self, command: Command) -> CommandDone | CommandFailed:
        try:
            request = requests.request(command, self._app)
        except ValueError as error:  # an endpoint that we would not dial
            return CommandFailed(
                self._clock(), command.call, command, unknown=False, why=str(error)
            )
        reply = await self._send_in_time(command, request)
        for pause_s in PAUSES_S:
            if not may_repeat(command, reply.status):
                break
            await asyncio.sleep(pause_s)
            reply = await self._send_in_time(command, request)
        return self._answer(command, requests.outcome(request, reply.status), reply)

    async def _send_in_time(self, command: Command, request: Request) -> Reply:
        if is_too_late(command, self._clock()):
            return TOO_LATE
        return await self._send(request)

    def _answer(
        self, command: Command, outcome: Outcome, reply: Reply
    ) -> CommandDone | CommandFailed:
        at = self._clock()
        if outcome in {Outcome.DONE, Outcome.GONE}:
            return CommandDone(at, command.call, command, gone=outcome is Outcome.GONE)
        why = f"{reply.status} {reply.body[:200].decode(errors='replace')}"
        return CommandFailed(at, command.call, command, outcome is Outcome.UNKNOWN, why)


def may_repeat(command: Command, status: int) -> bool:
    """Was it not sent, or may it be sent twice and no answer came?"""
    return status == UNSENT or (status == UNKNOWN and command.repeat is Repeat.SAFE)
