"""The three ciphers of sealed values: key, nonce, tag and ciphertext go in, the plaintext comes out, or
None where the tag is wrong. PyNaCl has two of them; AES-256-GCM is written out here, slow but small,
after FIPS 197, SP 800-38B, SP 800-38D and https://c2sp.org/XAES-256-GCM.
"""

from hmac import compare_digest

import nacl.bindings
import nacl.exceptions


def xsalsa20_poly1305(key, nonce, tag, text):
    try:
        return nacl.bindings.crypto_secretbox_open(tag + text, nonce, key)
    except nacl.exceptions.CryptoError:
        return None


def xchacha20_poly1305(key, nonce, tag, text):
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(text + tag, None, nonce, key)
    except nacl.exceptions.CryptoError:
        return None


def xaes_256_gcm(key, nonce, tag, text):
    return aes_256_gcm(xaes_key(key, nonce[:12]), nonce[12:], tag, text)


def xaes_key(key, nonce):
    """The key of one seal: CMAC-AES-256 of two blocks, each of one whole block."""
    block = schedule(key)
    k1 = number(encrypt(block, bytes(16))) << 1
    if k1 >> 128:
        k1 = k1 ^ 0x87 ^ (1 << 128)
    parts = (bytes([0, counter]) + b"X\0" + nonce for counter in (1, 2))
    return b"".join(encrypt(block, (number(part) ^ k1).to_bytes(16, "big")) for part in parts)


def aes_256_gcm(key, nonce, tag, text):
    """AES-256-GCM with a nonce of 12 bytes and without associated data."""
    round_keys = schedule(key)
    h = number(encrypt(round_keys, bytes(16)))
    hashed = 0
    for at in range(0, len(text), 16):
        hashed = times(hashed ^ number(text[at : at + 16].ljust(16, b"\0")), h)
    hashed = times(hashed ^ 8 * len(text), h)

    def mask(counter):
        return encrypt(round_keys, nonce + counter.to_bytes(4, "big"))

    expected = (hashed ^ number(mask(1))).to_bytes(16, "big")
    if not compare_digest(expected, tag):
        return None
    stream = b"".join(mask(2 + block) for block in range(-(-len(text) // 16)))
    return bytes(a ^ b for a, b in zip(text, stream))


def number(block):
    return int.from_bytes(block, "big")


def times(x, y):
    """The product in GCM's field of 2^128."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def double(byte):
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


def sbox():
    """The inverse in the field of 2^8, by powers of 3, then the affine map."""
    powers = [1]
    while len(powers) < 255:
        powers.append(powers[-1] ^ double(powers[-1]))
    inverse = [0] * 256
    for exponent, power in enumerate(powers):
        inverse[power] = powers[-exponent % 255]

    table = []
    for b in inverse:
        out = 0x63
        for turn in range(5):
            out ^= (b << turn | b >> 8 - turn) & 0xFF
        table.append(out)
    return bytes(table)


SBOX = sbox()
SHIFT_ROWS = [(column + row) % 4 * 4 + row for column in range(4) for row in range(4)]


def schedule(key):
    """The 15 round keys of AES-256, 16 bytes each."""
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    constant = 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = word[1:] + word[:1]
            word = bytes(SBOX[b] for b in word)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = double(constant)
        elif len(words) % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def encrypt(round_keys, block):
    """One block of AES."""
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for turn, round_key in enumerate(round_keys[1:], 1):
        state = [SBOX[state[at]] for at in SHIFT_ROWS]
        if turn < len(round_keys) - 1:
            mixed = []
            for at in range(0, 16, 4):
                a, b, c, d = state[at : at + 4]
                every = a ^ b ^ c ^ d
                for this, following in ((a, b), (b, c), (c, d), (d, a)):
                    mixed.append(this ^ every ^ double(this ^ following))
            state = mixed
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


# By the number that stands in the head of a sealed value.
OPEN = {1: xsalsa20_poly1305, 2: xchacha20_poly1305, 3: xaes_256_gcm}
