"""The initiator of EDHOC, method 3 and cipher suite 2, written from RFC 9528 and nothing else: no line of it is lakers'.

initiator.py HOST PORT PRIVATE-KEY KID GATEWAY-KEY GATEWAY-KID, keys and kids in hex. Sends message_1 and message_3 over CoAP, checks
message_2 and message_4, and prints the input of OSCORE as JSON.
"""

import hashlib
import io
import json
import os
import socket
import struct
import sys

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

P256 = ec.SECP256R1()


def extract(salt, secret):
    mac = HMAC(salt, SHA256())
    mac.update(secret)
    return mac.finalize()


def kdf(prk, label, context, length):
    """Section 4.1.2: info is a CBOR sequence of label, context and length."""
    info = cbor2.dumps(label) + cbor2.dumps(context) + cbor2.dumps(length)
    return HKDFExpand(SHA256(), length, info).derive(prk)


def digest(*items):
    return hashlib.sha256(b"".join(items)).digest()


def point(x):
    return ec.EllipticCurvePublicKey.from_encoded_point(P256, b"\x02" + x)


def x_of(key):
    return key.public_key().public_numbers().x.to_bytes(32, "big")


def shared(private, x):
    return private.exchange(ec.ECDH(), point(x))


def credential(kid, x):
    return cbor2.dumps({8: {1: {1: 2, 2: kid, -1: 1, -2: x}}})


def identifier(data):
    """Section 3.3.2: a byte that is an integer's encoding goes as that."""
    return data if len(data) == 1 and data[0] in [*range(0x18), *range(0x20, 0x38)] else cbor2.dumps(data)


def items(sequence):
    """The items of a CBOR sequence, as (value, encoding)."""
    found = []
    while sequence:
        stream = io.BytesIO(sequence)
        value = cbor2.CBORDecoder(stream).decode()
        found.append((value, sequence[: stream.tell()]))
        sequence = sequence[stream.tell() :]
    return found


def ask(peer, payload):
    """POST /.well-known/edhoc, Confirmable."""
    token = os.urandom(4)
    header = struct.pack("!BBH", 0x44, 0x02, int.from_bytes(os.urandom(2), "big")) + token
    request = header + b"\xbb.well-known" + b"\x05edhoc" + b"\x11\x41" + b"\xff" + payload
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        udp.sendto(request, peer)
        reply = udp.recv(2048)
    assert reply[1] == 0x44 and reply[4:8] == token, reply.hex()
    return reply[reply.index(b"\xff", 8) + 1 :]


def main(host, port, private, kid, gateway, gateway_kid):
    kid, gateway, gateway_kid = (bytes.fromhex(text) for text in (kid, gateway, gateway_kid))
    own = ec.derive_private_key(int(private, 16), P256)
    cred_i, cred_r = credential(kid, x_of(own)), credential(gateway_kid, gateway)
    id_cred_i, id_cred_r = cbor2.dumps({4: kid}), cbor2.dumps({4: gateway_kid})
    ephemeral, c_i = ec.generate_private_key(P256), b"\x05"

    message_1 = cbor2.dumps(3) + cbor2.dumps(2) + cbor2.dumps(x_of(ephemeral)) + identifier(c_i)
    message_2 = ask((host, int(port)), b"\xf5" + message_1)

    ((both, _),) = items(message_2)
    g_y, ciphertext_2 = both[:32], both[32:]
    th_2 = digest(cbor2.dumps(g_y), cbor2.dumps(digest(message_1)))
    prk_2e = extract(th_2, shared(ephemeral, g_y))
    stream = kdf(prk_2e, 0, th_2, len(ciphertext_2))
    plaintext_2 = bytes(a ^ b for a, b in zip(ciphertext_2, stream))
    (c_r, c_r_encoded), (_, id_encoded), (mac_2, _) = items(plaintext_2)
    assert id_encoded == identifier(gateway_kid), id_encoded.hex()
    prk_3e2m = extract(kdf(prk_2e, 1, th_2, 32), shared(ephemeral, gateway))
    context_2 = c_r_encoded + id_cred_r + cbor2.dumps(th_2) + cred_r
    assert mac_2 == kdf(prk_3e2m, 2, context_2, 8), "MAC_2"

    th_3 = digest(cbor2.dumps(th_2), plaintext_2, cred_r)
    prk_4e3m = extract(kdf(prk_3e2m, 5, th_3, 32), shared(own, g_y))
    mac_3 = kdf(prk_4e3m, 6, id_cred_i + cbor2.dumps(th_3) + cred_i, 8)
    plaintext_3 = identifier(kid) + cbor2.dumps(mac_3)

    def aead(prk, key, iv, transcript):
        cipher = AESCCM(kdf(prk, key, transcript, 16), tag_length=8)
        return cipher, kdf(prk, iv, transcript, 13), cbor2.dumps(["Encrypt0", b"", transcript])

    cipher, nonce, aad = aead(prk_3e2m, 3, 4, th_3)
    message_3 = cbor2.dumps(cipher.encrypt(nonce, plaintext_3, aad))
    message_4 = ask((host, int(port)), c_r_encoded + message_3)

    th_4 = digest(cbor2.dumps(th_3), plaintext_3, cred_i)
    cipher, nonce, aad = aead(prk_4e3m, 8, 9, th_4)
    ((ciphertext_4, _),) = items(message_4)
    assert cipher.decrypt(nonce, ciphertext_4, aad) == b"", "message_4"
    prk_exporter = kdf(kdf(prk_4e3m, 7, th_4, 32), 10, b"", 32)
    kid = c_r if isinstance(c_r, bytes) else c_r_encoded
    established = {
        "secret": kdf(prk_exporter, 0, b"", 16),
        "salt": kdf(prk_exporter, 1, b"", 8),
        "kid": kid,
        "gateway_id": c_i,
    }
    print(json.dumps({name: value.hex() for name, value in established.items()}))


main(*sys.argv[1:])
