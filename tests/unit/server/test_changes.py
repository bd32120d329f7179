import asyncio
import threading

from clary.server.changes import Changes


def test_a_change_ends_the_wait() -> None:
    async def scene() -> tuple[int, int]:
        changes = Changes()
        seen = changes.version
        waiting = asyncio.create_task(changes.wait(seen.changes, 30))
        await asyncio.sleep(0)
        threading.Thread(target=lambda: changes.bump(status=True)).start()
        version = await waiting
        return version.changes - seen.changes, version.statuses - seen.statuses

    assert asyncio.run(scene()) == (1, 1)


def test_growth_of_a_log_is_a_change_but_no_status() -> None:
    changes = Changes()
    before = changes.version
    changes.bump(status=False)
    assert changes.version.changes == before.changes + 1
    assert changes.version.statuses == before.statuses


def test_a_change_before_the_wait_is_not_missed() -> None:
    changes = Changes()
    seen = changes.version.changes
    changes.bump(status=False)
    assert asyncio.run(changes.wait(seen, 30)).changes == seen + 1


def test_without_a_change_the_wait_ends_with_the_same_version() -> None:
    changes = Changes()
    seen = changes.version
    assert asyncio.run(changes.wait(seen.changes, 0.01)) == seen


def test_nobody_waits_for_a_server_that_ends() -> None:
    async def scene() -> list[int]:
        changes = Changes()
        waits = [asyncio.create_task(changes.wait(changes.version.changes, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        changes.close()
        late = await changes.wait(changes.version.changes, 30)
        return [version.changes for version in [*await asyncio.gather(*waits), late]]

    assert asyncio.run(asyncio.wait_for(scene(), 20)) == [1] * 4


def test_many_wait_at_once() -> None:
    async def scene() -> list[int]:
        changes = Changes()
        waits = [asyncio.create_task(changes.wait(changes.version.changes, 30)) for _ in range(50)]
        await asyncio.sleep(0)
        changes.bump(status=True)
        return [version.changes for version in await asyncio.gather(*waits)]

    assert asyncio.run(scene()) == [2] * 50
