#!/usr/bin/env python3
"""Prints what `vectors.rs` expects of the three ciphers over many lengths, from implementations that have
no line in common with theirs: libsodium by PyNaCl, and for the key of XAES-256-GCM ../reader/ciphers.py.

Keys, nonces and plaintexts are the output of SHAKE128 of nothing; what is printed is SHAKE128 of all tags
and ciphertexts.
"""

import hashlib
import os
import sys

import nacl.bindings

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reader"))
import ciphers

LENGTHS = [*range(1025), 4095, 4096, 4097, 65536, 1000003]


def xsalsa20_poly1305(key, nonce, text):
    return nacl.bindings.crypto_secretbox(text, nonce, key)


def xchacha20_poly1305(key, nonce, text):
    sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(text, None, nonce, key)
    return sealed[-16:] + sealed[:-16]


def xaes_256_gcm(key, nonce, text):
    key = ciphers.xaes_key(key, nonce[:12])
    sealed = nacl.bindings.crypto_aead_aes256gcm_encrypt(text, None, nonce[12:], key)
    return sealed[-16:] + sealed[:-16]


for seal in (xsalsa20_poly1305, xchacha20_poly1305, xaes_256_gcm):
    stream = hashlib.shake_128().digest(sum(32 + 24 + length for length in LENGTHS))
    digest, at = hashlib.shake_128(), 0
    for length in LENGTHS:
        key, nonce = stream[at : at + 32], stream[at + 32 : at + 56]
        text = stream[at + 56 : at + 56 + length]
        at += 56 + length
        digest.update(seal(key, nonce, text))
    print(seal.__name__, digest.hexdigest(32))
