"""Fetches one resource with aiocoap over tinydtls: aiocoap_dtls.py URI OUTPUT SECONDS IDENTITY KEY.

IDENTITY and KEY are text. Without an answer in time, and without a handshake, it ends with an error.
"""

import asyncio
import sys

from aiocoap import GET, Context, Message


async def fetch(uri, output, seconds, identity, key):
    client = await Context.create_client_context(transports=["tinydtls"])
    credentials = {"psk": {"ascii": key}, "client-identity": {"ascii": identity}}
    client.client_credentials.load_from_dict({uri: {"dtls": credentials}})
    try:
        request = Message(code=GET, uri=uri)
        response = await asyncio.wait_for(client.request(request).response, seconds)
    finally:
        await client.shutdown()
    if not response.code.is_successful():
        sys.exit(f"{response.code}: {response.payload!r}")
    with open(output, "wb") as file:
        file.write(response.payload)


uri, output, seconds, identity, key = sys.argv[1:]
asyncio.run(fetch(uri, output, float(seconds), identity, key))
