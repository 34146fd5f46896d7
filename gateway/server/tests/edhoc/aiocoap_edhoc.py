"""Fetches one resource with aiocoap over keys that EDHOC establishes: aiocoap_edhoc.py URI OUTPUT CREDENTIALS.

CREDENTIALS is a file of aiocoap's in JSON, which has neither bytes nor numbers as keys: {"hex": "…"} is bytes here, and a key that
is a number stands in quotation marks. One context fetches it twice, so that the second request goes under the keys that
the first one established.
"""

import asyncio
import json
import sys

from aiocoap import GET, Context, Message


def plain(value):
    if not isinstance(value, dict):
        return value
    if set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    number = lambda key: int(key) if key.lstrip("-").isdigit() else key
    return {number(key): plain(item) for key, item in value.items()}


async def fetch(uri, output, credentials):
    client = await Context.create_client_context()
    with open(credentials) as file:
        client.client_credentials.load_from_dict(plain(json.load(file)))
    try:
        for _ in range(2):
            request = Message(code=GET, uri=uri)
            response = await asyncio.wait_for(client.request(request).response, 30)
            if not response.code.is_successful():
                sys.exit(f"{response.code}: {response.payload!r}")
    finally:
        await client.shutdown()
    with open(output, "wb") as file:
        file.write(response.payload)


asyncio.run(fetch(*sys.argv[1:]))
