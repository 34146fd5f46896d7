"""Serves two resources with aiocoap's OSCORE, and prints its port: server.py CONTEXT-FOLDER, until standard input ends.

/body   GET: 1000 bytes, byte n is n * 7 modulo 256
/twice  POST: the payload, twice
"""

import asyncio
import sys

from aiocoap import Code, Context, Message, credentials, resource
from aiocoap.oscore import FilesystemSecurityContext
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper


class Body(resource.Resource):
    async def render_get(self, request):
        return Message(payload=bytes(n * 7 % 256 for n in range(1000)))


class Twice(resource.Resource):
    async def render_post(self, request):
        return Message(code=Code.CHANGED, payload=2 * request.payload)


async def serve(folder):
    site = resource.Site()
    site.add_resource(["body"], Body())
    site.add_resource(["twice"], Twice())
    keys = credentials.CredentialsMap()
    keys[":device"] = FilesystemSecurityContext(folder)
    site = OscoreSiteWrapper(site, server_credentials=keys)
    server = await Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["udp6"])
    # The one of the two interfaces that has a socket; the other is OSCORE's, on top of it.
    for interface in server.request_interfaces:
        if hasattr(interface, "token_interface"):
            print(interface.token_interface.message_interface._local_port(), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(serve(*sys.argv[1:]))
