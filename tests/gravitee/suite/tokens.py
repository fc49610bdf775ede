"""Tokens of the simulator's, verified: a register believes nothing else."""

import base64
import hashlib
import json

# What a SHA-256 digest is wrapped in before RSA signs it (RFC 8017 section 9.2, note 1).
SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class InvalidToken(Exception):
    """Why a token is not one."""


def claims(token, keys):
    """The claims of a token that one of the keys (RFC 7517) signed with RS256 (RFC 8017 section 8.2.2)."""
    try:
        head, payload, signature = token.split(".")
        header = json.loads(decoded(head))
    except ValueError as error:
        raise InvalidToken(f"{token!r} is no JWT") from error
    key = next((key for key in keys if key["kid"] == header.get("kid")), None)
    if header.get("alg") != "RS256" or key is None:
        raise InvalidToken(f"signed with {header}, which is none of the simulator's keys")
    modulus, exponent = number(key["n"]), number(key["e"])
    size = (modulus.bit_length() + 7) // 8
    digest = SHA256_DIGEST_INFO + hashlib.sha256(f"{head}.{payload}".encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    if pow(number(signature), exponent, modulus) != int.from_bytes(padded, "big"):
        raise InvalidToken("the signature is wrong")
    return json.loads(decoded(payload))


def decoded(base64url):
    return base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4))


def number(base64url):
    return int.from_bytes(decoded(base64url), "big")
