"""The fallback's spool: read once, never trusted, never lost."""

import asyncio

import pytest
import structlog
from sqlalchemy import insert, select

from ari_app.ari.client import Reply
from ari_app.runtime.spool import NotWhole, Spool, parse
from ari_app.runtime.worker import Worker
from ari_app.store import engine as database
from ari_app.store.store import Store
from ari_app.store.tables import AGENT, CALL, DEVICE, JOURNAL

ENDED = (
    "v=1 at=1795521017 number=+493012345 region=DE caller=0170123 name=Kim%20M%C3%BCller "
    "by=PJSIP%2Fann-desk-0000000a until=1795521040 talked=015 how={} end"
)
BEGAN = "v=1 at=1795521017 number=+493012345 region=DE caller=0170123 name=Kim how=began end"
SECOND = 1_000_000


class World:
    """A folder, a database, and an Asterisk that knows which channels live."""

    def __init__(self, folder):
        self.engine = database.open_engine(f"sqlite:///{folder}/sharedline.db")
        database.upgrade(self.engine)
        self.folder = folder / "spool"
        self.folder.mkdir()
        self.store = Store(self.engine, "sharedline")
        self.store.take_over()
        self.worker = Worker()
        self.alive = set()
        self.next_call = 1
        self.spool = self.new_spool()

    def new_spool(self):
        return Spool(
            folder=self.folder,
            store=self.store,
            worker=self.worker,
            send=self.send,
            resolve=lambda number, _: f"+49{number[1:]}" if number[0] == "0" else number,
            new_call_id=self.new_call_id,
        )

    async def send(self, request):
        return Reply(200 if request.path.removeprefix("/channels/") in self.alive else 404)

    def new_call_id(self):
        self.next_call += 1
        return self.next_call

    def write(self, text, name="17.1"):
        (self.folder / f"{name}.call").write_text(text)

    def calls(self):
        with self.engine.connect() as rows:
            return rows.execute(select(CALL).order_by(CALL.c.id)).all()

    def notes(self):
        with self.engine.connect() as rows:
            return rows.execute(select(JOURNAL)).all()

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    with database.writing(world.engine) as rows:
        rows.execute(insert(AGENT).values(id=7, name="ann", removed=False))
        device = {"managed": False, "digest": "", "state": "ready", "problem": ""}
        rows.execute(insert(DEVICE).values(agent_id=7, endpoint="PJSIP/ann-desk", **device))
    yield world
    world.store.close()
    world.worker.close()
    world.engine.dispose()


async def test_an_answered_call_is_in_the_history(world):
    world.write(ENDED.format("answered"))
    assert await world.spool.look() == 1
    (call,) = world.calls()
    assert (call.number, call.caller_number) == ("+493012345", "+49170123")
    assert (call.caller_name, call.agent_id) == ("Kim Müller", 7)
    assert (call.outcome, call.live, call.place) == ("answered by the fallback", False, "Ended")
    assert call.arrived_at == 1795521017 * SECOND
    assert call.answered_at == 1795521025 * SECOND
    assert call.ended_at == 1795521040 * SECOND
    assert world.files() == []


async def test_a_message_is_kept_and_named(world):
    world.write(ENDED.format("message"))
    (world.folder / "17.1.wav").write_bytes(b"x" * 20_000)
    await world.spool.look()
    assert world.calls()[0].outcome == "message"
    assert world.calls()[0].agent_id is None
    assert "17.1.wav" in world.notes()[0].body
    assert world.files() == ["17.1.wav"]


async def test_a_missed_call_leaves_no_empty_recording(world):
    world.write(ENDED.format("missed"))
    (world.folder / "17.1.wav").write_bytes(b"x" * 44)
    await world.spool.look()
    assert world.calls()[0].outcome == "missed"
    assert world.files() == []


async def test_a_call_that_goes_on_is_left_until_it_ends(world):
    world.write(BEGAN)
    world.alive.add("17.1")
    assert await world.spool.look() == 0
    world.alive.clear()
    world.write(ENDED.format("answered"))
    assert await world.spool.look() == 1
    assert [call.outcome for call in world.calls()] == ["answered by the fallback"]


async def test_a_call_that_died_with_asterisk_says_so(world):
    world.write(BEGAN)
    await world.spool.look()
    assert world.calls()[0].outcome == "unknown"


async def test_twice_is_once(world):
    """Killed between the commit and the removal of the file."""
    world.write(ENDED.format("missed"))
    await world.spool.look()
    world.write(ENDED.format("missed"))
    await world.new_spool().look()
    assert (len(world.calls()), len(world.notes())) == (1, 1)
    assert world.files() == []


async def test_a_call_of_ours_gets_the_outcome_once_it_is_over(world):
    """Given back to the dialplan, or left there when the controller died."""
    ours = {"id": 1, "channel": "17.1", "number": "+493012345", "caller_number": "+49170123"}
    more = {"caller_name": "", "place": "Leaving", "arrived_at": 5, "live": True, "body": "{}"}
    last = {"version": 1, "shard": "sharedline", "epoch": 1, "node": ""}
    with database.writing(world.engine) as rows:
        rows.execute(insert(CALL).values(**ours, **more, **last))
    world.write(ENDED.format("message"))
    assert await world.spool.look() == 0
    assert world.files() == ["17.1.call"]
    with database.writing(world.engine) as rows:
        rows.execute(CALL.update().values(live=False, place="Ended", outcome="failed"))
    assert await world.spool.look() == 1
    assert [(call.id, call.outcome, call.arrived_at) for call in world.calls()] == [
        (1, "message", 5)
    ]
    assert world.notes()[0].call_id == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1 at=1795521017",
        ENDED.format("answered")[:-3],
        ENDED.format("sold"),
        ENDED.format("missed").replace("v=1 ", "v=2 "),
        ENDED.format("missed").replace("at=1795521017", "at=yesterday"),
        ENDED.format("missed").replace("at=1795521017", "at=" + "9" * 400),
        "\x00" * 5000,
    ],
)
async def test_what_is_not_whole_is_put_aside(world, text):
    with pytest.raises(NotWhole):
        parse(text)
    world.write(text)
    assert await world.spool.look() == 0
    assert world.files() == ["17.1.bad"]


@pytest.mark.parametrize(
    "name", ["%00%0a%1b[31mRoot", "how=message", "%22%3Cscript%3E", "%zz%", "%e2%80%aexyz"]
)
async def test_a_hostile_name_stays_a_name(world, name):
    world.write(ENDED.format("missed").replace("Kim%20M%C3%BCller", name))
    await world.spool.look()
    (call,) = world.calls()
    assert call.outcome == "missed"
    assert not set(call.caller_name) & set('\x00\n\x1b<>"\u202e')


async def test_a_file_that_may_not_be_removed_is_imported_once(world, monkeypatch):
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    world.write(ENDED.format("missed"))
    assert [await world.spool.look() for _ in range(3)] == [1, 0, 0]
    assert [call.outcome for call in world.calls()] == ["missed"]


def refuse(*_, **__):
    raise PermissionError("not yours")


async def test_trouble_is_told_once_and_does_not_last(world, monkeypatch):
    monkeypatch.setattr("ari_app.runtime.spool.LOOK_S", 0.01)
    world.write(ENDED.format("missed"))
    asked = []

    async def look(real=world.spool.look):
        asked.append(1)
        if len(asked) < 5:
            raise PermissionError("not yours")
        return await real()

    world.spool.look = look
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(world.spool.run())
        async with asyncio.timeout(3):
            while world.files():
                await asyncio.sleep(0.01)
        task.cancel()
    assert [line["log_level"] for line in logs].count("warning") == 1


async def test_no_folder_is_no_trouble(world):
    world.folder.rmdir()
    assert await world.spool.look() == 0


async def test_a_flood_comes_in_pieces(world):
    for number in range(450):
        world.write(ENDED.format("missed"), f"17.{number:03}")
    assert [await world.spool.look() for _ in range(4)] == [200, 200, 50, 0]
    assert len({call.id for call in world.calls()}) == 450


async def test_it_goes_on_until_it_is_cancelled(world, monkeypatch):
    monkeypatch.setattr("ari_app.runtime.spool.LOOK_S", 0.01)
    task = asyncio.create_task(world.spool.run())
    world.write(ENDED.format("missed"))
    async with asyncio.timeout(3):
        while world.files():
            await asyncio.sleep(0.01)
    task.cancel()
