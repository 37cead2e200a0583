"""Protocol v1 with Python's standard library: frames, keys, SRP-6a (docs/cryptographic_implementation.md).

Run as a program it checks itself against the known answers: python3 protocol.py ../../test/vectors/protocol-v1.json
"""

import hashlib
import hmac
import json
import struct
import sys
import unicodedata

# RFC 5054 Appendix A, 4096 bits: 2^4096 - 2^4032 - 1 + 2^64 * (floor(2^3966 * pi) + 240904).
def _prime():
    def arctan_of_inverse(x, one):
        term = total = one // x
        divisor, sign = 3, -1
        while term:
            term //= x * x
            total += sign * (term // divisor)
            divisor, sign = divisor + 2, -sign
        return total

    one = 1 << (3966 + 64)
    pi = 4 * (4 * arctan_of_inverse(5, one) - arctan_of_inverse(239, one)) >> 64
    return 2**4096 - 2**4032 - 1 + 2**64 * (pi + 240904)


N = _prime()
G = 5
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def frame(*parts):
    data = (p.encode() if isinstance(p, str) else p for p in parts)
    return b"".join(struct.pack(">I", len(p)) + p for p in data)


def u64(number):
    return struct.pack(">Q", number)


def hkdf(key, info):
    """HKDF-SHA-256 (RFC 5869), empty salt, 32 bytes: extract and one block of expand."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info.encode() + b"\x01", hashlib.sha256).digest()


def pad(message, multiple):
    return message + b"\x80" + bytes(-(len(message) + 1) % multiple)


def unpad(padded, multiple):
    message, _, _ = padded.rpartition(b"\x80")
    if pad(message, multiple) != padded:
        raise ValueError("broken padding")
    return message


def username_hash(username):
    username.encode()  # refuses lone surrogates
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).lower()).strip(WHITE_SPACE)
    if not name:
        raise ValueError("empty username")
    return sha256(frame("passmanager/v1 username", name))


def password_bytes(password):
    if not password:
        raise ValueError("empty password")
    return unicodedata.normalize("NFKC", password).encode()


def check_kdf(algorithm, memory_kib, iterations, parallelism):
    good = (
        algorithm == 1
        and 19456 <= memory_kib <= 1048576
        and 2 <= iterations <= 64
        and 1 <= parallelism <= 16
        and memory_kib * iterations <= 4194304
    )
    if not good:
        raise ValueError("refused KDF parameters")


def keys_of_root(root):
    """srp_secret and master_key."""
    return hkdf(root, "passmanager/v1 srp secret"), hkdf(root, "passmanager/v1 master key")


def kdf_bytes(algorithm, memory_kib, iterations, parallelism):
    return struct.pack(">IIII", algorithm, memory_kib, iterations, parallelism)


def number(data):
    return int.from_bytes(data, "big")


def padded(value):
    return value.to_bytes(512, "big")


K_MULTIPLIER = number(sha256(padded(N), padded(G)))


def exponent_x(srp_salt, srp_secret):
    return number(sha256(srp_salt, sha256(b"\x3a", srp_secret)))


def verifier(x):
    return padded(pow(G, x, N))


def client_public(a):
    return padded(pow(G, number(a), N))


def client_key(x, a, public_a, public_b):
    """K, after the refusals of RFC 5054."""
    b_value = number(public_b)
    u = number(sha256(public_a, public_b))
    if len(public_b) != 512 or not 0 < b_value < N or u == 0:
        raise ValueError("refused B")
    shared = pow((b_value - K_MULTIPLIER * pow(G, x, N)) % N, number(a) + u * x, N)
    return sha256(padded(shared))


def login_context(name_hash, srp_salt, master_key_salt, kdf, maximum_requests, expiry_seconds, client, server):
    return frame(
        "passmanager/v1 login", name_hash, srp_salt, master_key_salt, kdf,
        struct.pack(">q", maximum_requests), struct.pack(">q", expiry_seconds), struct.pack(">II", client, server), b"",
    )


GROUP_HASH = bytes(n ^ g for n, g in zip(sha256(padded(N)), sha256(b"\x05")))


def client_proof(context, srp_salt, public_a, public_b, key):
    return sha256(GROUP_HASH, sha256(context), srp_salt, public_a, public_b, key)


def server_proof(public_a, proof, key):
    return sha256(public_a, proof, key)


def session_keys(key):
    """Client to server, server to client."""
    return hkdf(key, "passmanager/v1 client to server"), hkdf(key, "passmanager/v1 server to client")


def refuses(function, *given):
    try:
        function(*given)
    except ValueError:
        return True
    return False


def self_test(path):
    """Compares with the known answers all that needs neither Argon2id nor AES. Returns how many log-ins were checked."""
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    for login in vectors["logins"]:
        given = {k: bytes.fromhex(v) for k, v in login.items() if k in (
            "root", "srp_salt", "master_key_salt", "a", "A", "B", "v", "K", "M1", "M2", "context", "key_c2s", "key_s2c",
            "srp_secret", "master_key", "username_hash")}
        assert username_hash(login["username"]) == given["username_hash"]
        srp_secret, master_key = keys_of_root(given["root"])
        assert (srp_secret, master_key) == (given["srp_secret"], given["master_key"])
        x = exponent_x(given["srp_salt"], srp_secret)
        assert verifier(x) == given["v"]
        assert client_public(given["a"]) == given["A"]
        assert client_key(x, given["a"], given["A"], given["B"]) == given["K"]
        kdf = login["kdf"]
        context = login_context(
            given["username_hash"], given["srp_salt"], given["master_key_salt"],
            kdf_bytes(kdf["algorithm"], kdf["memory_kib"], kdf["iterations"], kdf["parallelism"]),
            int(login["maximum_requests"]), int(login["expiry_seconds"]), login["client_protocol"], login["server_protocol"])
        assert context == given["context"]
        proof = client_proof(context, given["srp_salt"], given["A"], given["B"], given["K"])
        assert proof == given["M1"]
        assert server_proof(given["A"], proof, given["K"]) == given["M2"]
        assert session_keys(given["K"]) == (given["key_c2s"], given["key_s2c"])
        for seal in login["seals"]:
            if seal["kind"] in ("request", "response", "failure"):
                aad = frame("passmanager/v1 " + seal["kind"], seal["method"], login["session_id"], u64(int(seal["request_number"])))
                assert aad.hex() == seal["aad"]
        for entry in login["entries"]:
            assert pad(bytes.fromhex(entry["name_message"]), 64).hex() == entry["name_padded"]
            assert unpad(bytes.fromhex(entry["data_padded"]), 256).hex() == entry["data_message"]
    for broken in map(bytes.fromhex, vectors["padding_refused"]):
        for multiple in (64, 256):
            assert refuses(unpad, broken, multiple)
    for username in vectors["usernames"]:
        assert username_hash(username["username"]).hex() == username["username_hash"]
    assert all(refuses(username_hash, username) for username in vectors["usernames_refused"])
    assert all(refuses(password_bytes, password) for password in vectors["passwords_refused"])
    assert all(refuses(check_kdf, *kdf.values()) for kdf in vectors["kdf_refused"])
    return len(vectors["logins"])


if __name__ == "__main__":
    print(self_test(sys.argv[1]), "log-ins agree with the known answers")
