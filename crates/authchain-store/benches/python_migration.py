"""The baseline of the bench `migration`: a loop that seals each plaintext file and syncs it, as one writes it in Python.

Usage: python_migration.py SOURCE TARGET. Prints the records per second. With the package `cryptography` it seals with
AES-256-GCM; without it the bytes are only copied, which is quicker, so that the baseline is never made slower.
"""

import json
import os
import sys
import time

try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    CIPHER = AESGCM(os.urandom(32))
except ImportError:
    CIPHER = None

source, target = sys.argv[1:]
names = sorted(name for name in os.listdir(source) if name.endswith(".json"))
begun = time.monotonic()
for name in names:
    with open(os.path.join(source, name), "rb") as file:
        content = file.read()
    json.loads(content)
    if CIPHER:
        nonce = os.urandom(12)
        content = nonce + CIPHER.encrypt(nonce, content, name.encode())
    path = os.path.join(target, name[:-5] + ".enc")
    with open(path + ".tmp", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".tmp", path)
    folder = os.open(target, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
print(json.dumps({"per_second": len(names) / (time.monotonic() - begun), "seals": CIPHER is not None}))
