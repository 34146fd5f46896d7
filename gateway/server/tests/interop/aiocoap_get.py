"""Fetches one resource with aiocoap: aiocoap_get.py URI OUTPUT SECONDS [SZX].

aiocoap's own command line cannot choose the Block2 size of a GET, its API can. Without SZX the request carries no
Block2 option and the server chooses.
"""

import asyncio
import sys

from aiocoap import GET, Context, Message
from aiocoap.optiontypes import BlockOption


async def fetch(uri, output, seconds, szx):
    request = Message(code=GET, uri=uri)
    if szx is not None:
        request.opt.block2 = BlockOption.BlockwiseTuple(0, False, szx)
    client = await Context.create_client_context()
    try:
        response = await asyncio.wait_for(client.request(request).response, seconds)
    finally:
        await client.shutdown()
    if not response.code.is_successful():
        sys.exit(f"{response.code}: {response.payload!r}")
    with open(output, "wb") as file:
        file.write(response.payload)


uri, output, seconds, *szx = sys.argv[1:]
asyncio.run(fetch(uri, output, float(seconds), int(szx[0]) if szx else None))
