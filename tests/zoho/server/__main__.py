# SPDX-License-Identifier: PostgreSQL
"""python3 -m server FOLDER: listens on a free port of 127.0.0.1 and says which on its first line.

Its data are in FOLDER. It ends when its input does: whoever started it is gone then.
"""

import asyncio
import logging
import sys

from aiohttp import web

from .app import make_app


async def main(folder):
    runner = web.AppRunner(make_app(folder), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    await runner.cleanup()


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(sys.argv[1]))
