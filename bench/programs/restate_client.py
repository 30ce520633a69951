"""Calls sagas of a Restate server, all at once, and waits for their answers."""

import asyncio
import sys

import aiohttp

INGRESS, ADMIN, APP = sys.argv[1:4]
PATIENCE = aiohttp.ClientTimeout(total=300)


async def main() -> None:
    """Register the deployment; then call as many sagas as each line says."""
    connector = aiohttp.TCPConnector(limit=2000)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
        deployment = {"uri": APP, "force": True, "breaking": True}
        async with session.post(f"{ADMIN}/deployments", json=deployment) as answer:
            answer.raise_for_status()
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            count, mode = line.split()
            calls = (_call(session, mode, index) for index in range(int(count)))
            answers = await asyncio.gather(*calls)
            print("done" if set(answers) == {mode} else "wrong", flush=True)


async def _call(session: aiohttp.ClientSession, mode: str, index: int) -> str:
    async with session.post(f"{INGRESS}/Orders/{mode}", json=str(index)) as answer:
        answer.raise_for_status()
        return str(await answer.json(content_type=None))


asyncio.run(main())
