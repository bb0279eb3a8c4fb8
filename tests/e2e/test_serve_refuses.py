"""`serve` can't start: one line that says what to do, exit code 1, no secret, no traceback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ari_app.store.engine import writing
from tests.e2e.service import Controller
from tests.lab.asterisk import AsteriskInstance

pytestmark = pytest.mark.e2e


@pytest.fixture
async def controller(asterisk: AsteriskInstance, tmp_path: Path) -> AsyncIterator[Controller]:
    """Not started."""
    async with Controller(asterisk, tmp_path) as controller:
        yield controller


async def refusal(controller: Controller) -> str:
    controller.launch()
    assert await controller.exits(5) == 1
    (line,) = controller.output().splitlines()
    assert line.startswith("sharedline: ")
    return line


async def test_a_wrong_password(controller: Controller) -> None:
    controller.settings["ari_password"] = "not-this-one"
    line = await refusal(controller)
    assert "wrong user or password" in line
    assert "not-this-one" not in line


async def test_no_password(controller: Controller) -> None:
    del controller.settings["ari_password"]
    assert "set SHAREDLINE_ARI_PASSWORD" in await refusal(controller)


@pytest.mark.parametrize("url", ["127.0.0.1:8088/ari", "http://me:secret@127.0.0.1:8088/ari"])
async def test_a_url_that_is_none(controller: Controller, url: str) -> None:
    controller.settings["ari_url"] = url
    line = await refusal(controller)
    assert "url" in line.lower()
    assert "secret" not in line


async def test_a_region_that_is_none(controller: Controller) -> None:
    controller.settings["region"] = "Germany"
    assert "SHAREDLINE_REGION" in await refusal(controller)


async def test_no_database(controller: Controller, tmp_path: Path) -> None:
    controller.settings["database_url"] = f"sqlite:///{tmp_path}/none.db"
    assert "run `sharedline db upgrade`" in await refusal(controller)


async def test_a_database_from_the_future(controller: Controller) -> None:
    with writing(controller.engine) as rows:
        rows.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "upgrade the program" in await refusal(controller)


async def test_a_second_controller_on_the_same_database(
    controller: Controller, asterisk: AsteriskInstance, tmp_path: Path
) -> None:
    """It is refused before it touches Asterisk, so that the first one keeps its calls."""
    await controller.start()
    (tmp_path / "second").mkdir()
    second = Controller(asterisk, tmp_path / "second")
    async with second:
        second.settings["database_url"] = controller.settings["database_url"]
        assert (await refusal(second)).endswith("stop it first")
    assert await controller.stop() == 0
