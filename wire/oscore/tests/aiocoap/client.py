"""Asks a server with aiocoap's OSCORE: client.py CONTEXT-FOLDER PORT METHOD PATH SZX SECONDS < payload > payload.

METHOD is GET or POST. The folder is aiocoap's: settings.json, and what it writes beside it.
"""

import asyncio
import sys

from aiocoap import Code, Context, Message
from aiocoap.optiontypes import BlockOption
from aiocoap.oscore import FilesystemSecurityContext


async def ask(folder, port, method, path, szx, seconds):
    uri = f"coap://127.0.0.1:{port}/{path}"
    request = Message(code=getattr(Code, method), uri=uri, payload=sys.stdin.buffer.read())
    if method == "GET":
        request.opt.block2 = BlockOption.BlockwiseTuple(0, False, int(szx))
    client = await Context.create_client_context()
    client.client_credentials[f"coap://127.0.0.1:{port}/*"] = FilesystemSecurityContext(folder)
    try:
        response = await asyncio.wait_for(client.request(request).response, float(seconds))
    finally:
        await client.shutdown()
    if not response.code.is_successful():
        sys.exit(f"{response.code}: {response.payload!r}")
    sys.stdout.buffer.write(response.payload)


asyncio.run(ask(*sys.argv[1:]))
