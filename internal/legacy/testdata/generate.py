#!/usr/bin/env python3
"""Makes a folder as the Python version leaves it, with the libraries that it used.

Fernet tokens: the package cryptography. bcrypt: crypt(3) of libxcrypt, which
writes the same $2b$ hashes as the package bcrypt. Run once, in this folder:

    python3 generate.py

The results are committed; no test runs this.
"""
import base64
import crypt
import hashlib
import hmac
import json
import os
import struct

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SALTS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def bcrypt(password, prefix="2b", cost=12):
    salt = "".join(SALTS[b % 64] for b in os.urandom(21)) + "."
    return crypt.crypt(password, f"${prefix}${cost:02d}${salt}")


def forge(key, payload, version=0x80):
    """A token with a right HMAC over whatever is given."""
    raw = base64.urlsafe_b64decode(key)
    iv = os.urandom(16)
    aes = Cipher(algorithms.AES(raw[16:]), modes.CBC(iv)).encryptor()
    body = struct.pack(">BQ", version, 1750000000) + iv + aes.update(payload) + aes.finalize()
    return base64.urlsafe_b64encode(body + hmac.new(raw[:16], body, hashlib.sha256).digest()).decode()


def server(name, **fields):
    row = {
        "name": name, "host": "10.0.0.1", "stats_db": "stats_db", "user": "monitor", "password": token("pg " + name), "port": 5432,
        "ssh_user": "sshmon", "ssh_password": token("ssh " + name), "ssh_port": 22,
    }
    row.update(fields)
    return {k: v for k, v in row.items() if v is not ...}


key = Fernet.generate_key()
other = Fernet(Fernet.generate_key())
fernet = Fernet(key)
token = lambda text: fernet.encrypt(text.encode()).decode()

with open("encryption_key.key", "wb") as f:
    f.write(key + b"\n")  # as "| tee" leaves it

users = [
    {"login": "admin", "password": bcrypt("correct horse battery staple"), "role": "admin"},
    {"login": "анна", "password": bcrypt("пароль с пробелами", cost=10), "role": "viewer"},
    {"login": "old", "password": bcrypt("php", prefix="2y", cost=5), "role": "operator", "is_active": False},
    {"login": "a-hash", "password": bcrypt("2a", prefix="2a", cost=4), "role": "superuser"},
    {"login": "no role", "password": bcrypt("x", cost=4)},
    {"login": "admin", "password": bcrypt("a second admin", cost=4), "role": "admin"},
    {"login": "", "password": bcrypt("x", cost=4), "role": "admin"},
    {"login": "plain", "password": "plain text", "role": "admin"},
    {"login": 7, "password": "x", "role": "admin"},
    "not an object",
]
with open("users.json", "w") as f:
    json.dump(users, f, indent=2)

first = server("db1")
servers = [
    first,
    server("локальный", host="localhost", stats_db=None, password=token("пароль ü 100% /secret/"), ssh_user="", ssh_password=""),
    server("no ssh_port", stats_db=..., ssh_port=..., host="db3.example.org", port="5433"),
    server("team/db4", host="10.0.0.4"),
    server("", host="10.0.0.5", port=6432),
    dict(first),  # the same entry again
    server("db1", host="10.0.0.7"),  # another server of the same name
    server("lost", password=other.encrypt(b"x").decode(), ssh_password="gAAAAABnot-a-token"),
    server("empty password", password=token(""), ssh_password=""),
    server("bad port", port=-5),
    server("no host", host=""),
    server("number", host=17),
    server("v6", host="[::1]", user="mon/itor"),
]
with open("servers.json", "w") as f:
    json.dump(servers, f, indent=2)

good = fernet.encrypt(b"a secret")
raw = base64.urlsafe_b64decode(good)
enc = lambda b: base64.urlsafe_b64encode(b).decode()
flip = lambda at: enc(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
tokens = {
    "good": {"token": good.decode(), "text": "a secret"},
    "empty": {"token": token(""), "text": ""},
    "one block less one": {"token": token("x" * 15), "text": "x" * 15},
    "one block": {"token": token("x" * 16), "text": "x" * 16},
    "long": {"token": token("ключ" * 300), "text": "ключ" * 300},
    "from 1985": {"token": fernet.encrypt_at_time(b"old", 499162800).decode(), "text": "old"},
    "another key": {"token": other.encrypt(b"a secret").decode()},
    "version": {"token": flip(0)},
    "time": {"token": flip(5)},
    "iv": {"token": flip(12)},
    "ciphertext": {"token": flip(30)},
    "hmac": {"token": flip(len(raw) - 1)},
    "cut": {"token": enc(raw[:-16])},
    "short": {"token": enc(raw[:40])},
    "longer": {"token": enc(raw + b"\0" * 16)},
    "rubbish after": {"token": good.decode() + "!!"},
    "newline in it": {"token": good.decode()[:20] + "\n" + good.decode()[20:]},
    "no base64": {"token": "a secret"},
    "no padding characters": {"token": good.decode().rstrip("=")},
    "other version, right HMAC": {"token": forge(key, b"x" * 15 + b"\1", version=0x81)},
    "padding 0": {"token": forge(key, b"x" * 15 + b"\0")},
    "padding 17": {"token": forge(key, b"x" * 15 + b"\21" * 17)},
    "padding 32": {"token": forge(key, b"\40" * 32)},
    "padding uneven": {"token": forge(key, b"x" * 13 + b"\3\2\3")},
    "no payload": {"token": forge(key, b"")},
    "not text": {"token": forge(key, b"\xff" * 15 + b"\1")},
}
assert tokens["good"]["token"].endswith("=")
with open("tokens.json", "w") as f:
    json.dump(tokens, f, indent=2, ensure_ascii=False)
