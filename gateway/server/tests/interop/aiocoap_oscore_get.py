"""Fetches URI with aiocoap's OSCORE into FILE: aiocoap_oscore_get.py CONTEXT-FOLDER URI FILE SECONDS [SZX].

The folder is aiocoap's: settings.json, and what it writes beside it.
"""

import asyncio
import sys
from urllib.parse import urlsplit

from aiocoap import GET, Context, Message
from aiocoap.optiontypes import BlockOption
from aiocoap.oscore import FilesystemSecurityContext


async def fetch(folder, uri, file, seconds, szx=None):
    request = Message(code=GET, uri=uri)
    if szx is not None:
        request.opt.block2 = BlockOption.BlockwiseTuple(0, False, int(szx))
    client = await Context.create_client_context()
    client.client_credentials[f"coap://{urlsplit(uri).netloc}/*"] = FilesystemSecurityContext(folder)
    try:
        response = await asyncio.wait_for(client.request(request).response, float(seconds))
    finally:
        await client.shutdown()
    if not response.code.is_successful():
        sys.exit(f"{response.code}: {response.payload!r}")
    with open(file, "wb") as fetched:
        fetched.write(response.payload)


asyncio.run(fetch(*sys.argv[1:]))
