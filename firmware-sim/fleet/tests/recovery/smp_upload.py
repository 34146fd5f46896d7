"""Uploads a file to a device in recovery with smpclient, an SMP client that is not ours.

usage: smp_upload.py SOCKET FILE

The client wants a serial device, so a pseudo-terminal is put between it and the socket of the emulator. Prints what the
device answered, a line each.
"""

import asyncio
import os
import pty
import socket
import sys
import threading
import tty

from smpclient import SMPClient
from smpclient.exceptions import SMPUploadError
from smpclient.generics import success
from smpclient.requests.image_management import ImageStatesRead
from smpclient.requests.os_management import BootloaderInformationRead, EchoWrite, ResetWrite
from smpclient.transport.serial import SMPSerialTransport


def pump(read, write):
    try:
        while data := read():
            write(data)
    except OSError:
        pass


def serial_device(path):
    line = socket.socket(socket.AF_UNIX)
    line.connect(path)
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    for read, write in [
        (lambda: os.read(ours, 4096), line.sendall),
        (lambda: line.recv(4096), lambda data: os.write(ours, data)),
    ]:
        threading.Thread(target=pump, args=(read, write), daemon=True).start()
    return os.ttyname(theirs)


async def main(path, file):
    with open(file, "rb") as opened:
        image = opened.read()
    async with SMPClient(SMPSerialTransport(), serial_device(path)) as client:
        # A minute for what a device answers at once: the emulator may share its machine with much else.
        echo = await client.request(EchoWrite(d="hello"), timeout_s=60)
        print("echo", echo.r)
        bootloader = await client.request(BootloaderInformationRead(query="recovery"), timeout_s=60)
        print("bootloader", bootloader.bootloader, bootloader.response["state"])
        print("piece", client._transport.max_unencoded_size)
        states = await client.request(ImageStatesRead(), timeout_s=60)
        print("before", len(states.images))
        try:
            async for offset in client.upload(image, first_timeout_s=60, subsequent_timeout_s=60):
                pass
        except SMPUploadError as error:
            answer = error.args[0]
            print("refused", int(answer.rc), answer.rsn)
            return
        print("uploaded", offset == len(image))
        states = await client.request(ImageStatesRead(), timeout_s=60)
        for state in states.images:
            print("after", state.slot, state.version, state.bootable, state.hash.hex())
        print("reset", success(await client.request(ResetWrite(), timeout_s=60)))


asyncio.run(main(*sys.argv[1:]))
