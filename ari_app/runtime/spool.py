"""What the dialplan's fallback did while no controller was there, read from its spool.

Contract: asterisk-conf/extensions.conf [spool] writes one file a call, `<channel>.call`, when the
call begins and again when it ends. It is imported once and then removed; messages (`.wav`) stay
where they are. A file that can't be read becomes `.bad`. The controller and Asterisk share this
folder; without it there is nothing to import.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote

import structlog

from ari_app.ari import clean
from ari_app.ari.client import Reply
from ari_app.ari.requests import Request
from ari_app.core.events import MICROSECONDS
from ari_app.runtime.worker import Worker
from ari_app.store.engine import StoreError
from ari_app.store.fallbacks import Ending, FallbackCall
from ari_app.store.store import Store

LOOK_S = 1.0
AT_ONCE = 200  # files in one transaction; the rest is next
MAX_BYTES = 2_000
BEGAN = "began"
_ENDINGS = {
    BEGAN: Ending.UNKNOWN,
    "answered": Ending.ANSWERED,
    "message": Ending.MESSAGE,
    "missed": Ending.MISSED,
}

log = structlog.get_logger()


class NotWhole(Exception):
    """The file is not what [spool] writes, or is still being written."""


def parse(text: str) -> dict[str, str]:
    """The file's fields, decoded. Raises NotWhole."""
    words = text.split(" ")
    fields = dict(word.partition("=")[::2] for word in words[:-1])
    wanted = {"at", "number", "region", "caller", "name", "how"}
    if words[-1] != "end" or fields.get("v") != "1" or wanted - fields.keys():
        raise NotWhole(text)
    for key in ("at", *({"until", "talked"} & fields.keys())):
        if not (fields[key].isascii() and fields[key].isdigit() and len(fields[key]) < 12):  # noqa: PLR2004
            raise NotWhole(text)
    if fields["how"] not in _ENDINGS:
        raise NotWhole(text)
    return {key: unquote(value) for key, value in fields.items()}


class Spool:
    """Imports every `LOOK_S`; a call of the fallback may outlive our return."""

    def __init__(
        self,
        *,
        folder: Path,
        store: Store,
        worker: Worker,
        send: Callable[[Request], Awaitable[Reply]],
        resolve: Callable[[str, str], str],
        new_call_id: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._store = store
        self._worker = worker
        self._send = send
        self._resolve = resolve
        self._new_call_id = new_call_id
        self._trouble = ""
        self._stays: set[str] = set()  # imported, but we may not remove it

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            trouble = ""
            try:
                await self.look()
            except (OSError, StoreError) as error:
                trouble = str(error)
            if trouble and trouble != self._trouble:  # once, not once a second
                log.warning("the fallback's spool can't be read now", error=trouble)
            self._trouble = trouble

    async def look(self) -> int:
        """Import what has ended; how many calls that were."""
        names = await asyncio.to_thread(self._names)
        ended = [name for name in names if not await self._lives(name)]
        found = await asyncio.to_thread(self._read_all, ended)
        calls = {name: self._call(name, fields) for name, fields in found.items()}
        if not calls:
            return 0
        kept = await self._worker.run(lambda: self._store.keep_fallbacks(calls.values()))
        done = [name for name, call in calls.items() if call.channel in kept]
        await asyncio.to_thread(self._remove_all, {name: calls[name] for name in done})
        if done:
            log.info("calls of the fallback are in the history", calls=len(done))
        return len(done)

    async def _lives(self, name: str) -> bool:
        """Does the call go on? Asked before its file is read: the end is written before it."""
        reply = await self._send(Request("GET", f"/channels/{quote(name, safe='')}"))
        return reply.status != HTTPStatus.NOT_FOUND

    def _call(self, name: str, fields: Mapping[str, str]) -> FallbackCall:
        region = clean.region(fields["region"])
        at, until = int(fields["at"]), int(fields.get("until", fields["at"]))
        ending, wav = _ENDINGS[fields["how"]], self._folder / f"{name}.wav"
        answered = ending is Ending.ANSWERED
        talked = int(fields.get("talked", "0"))
        return FallbackCall(
            call=self._new_call_id(),
            channel=name,
            number=self._in_full(clean.number(fields["number"]), region),
            caller_number=self._in_full(clean.number(fields["caller"]), region),
            caller_name=clean.name(fields["name"]),
            ending=ending,
            endpoint=fields.get("by", "").rpartition("-")[0] if answered else "",
            message=str(wav) if ending is Ending.MESSAGE else "",
            arrived_at=at * MICROSECONDS,
            answered_at=(until - talked) * MICROSECONDS if answered else None,
            ended_at=until * MICROSECONDS,
        )

    def _in_full(self, number: str, region: str) -> str:
        return self._resolve(number, region) if number else ""

    # -- files, in another thread: a disk may hang

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        names = (path.stem for path in self._folder.glob("*.call"))
        return sorted(name for name in names if name not in self._stays)[:AT_ONCE]

    def _read_all(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        found = {}
        for name in names:
            path = self._folder / f"{name}.call"
            try:
                with path.open("rb") as file:
                    found[name] = parse(file.read(MAX_BYTES).decode("ascii", "replace"))
            except NotWhole as fault:
                log.warning("a file of the fallback's spool is damaged", file=str(path), text=fault)
                path.rename(path.with_suffix(".bad"))
        return found

    def _remove_all(self, calls: Mapping[str, FallbackCall]) -> None:
        for name, call in calls.items():
            try:
                (self._folder / f"{name}.call").unlink(missing_ok=True)
                if not call.message and call.ending is not Ending.UNKNOWN:  # a breath, no message
                    (self._folder / f"{name}.wav").unlink(missing_ok=True)
            except OSError as error:
                self._stays.add(name)
                log.warning("can't remove from the fallback's spool", name=name, error=str(error))
