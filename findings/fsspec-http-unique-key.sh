#!/usr/bin/env bash
# fsspec 2026.9.0: over HTTP, the key that is to tell versions of a file apart is the same for every version.
#
# Seen: AbstractFileSystem.ukey is documented as a hash of a file's properties that changes when the file does, and does so
# for local files, memory:// and object stores. HTTPFileSystem.ukey hashes the address alone: a file of another size,
# with another ETag and Last-Modified (both of which info() reports), keeps its key. Caches and pipelines that ask for
# ukey to notice a change never notice one over HTTP.
# What it means here: what info() says of size, ETag and Last-Modified is compared, before and after a file is read.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'fsspec==2026.9.0' 'aiohttp==3.14.5'

"$work/env/bin/python" - "$work" <<'P'
import hashlib
import pathlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec

content = {"now": b"first version\n"}


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content["now"])))
        self.send_header("ETag", f'"{hashlib.md5(content["now"]).hexdigest()}"')
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(content["now"])

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
local = pathlib.Path(sys.argv[1]) / "file.txt"


def versions(address):
    keys, facts = [], []
    for text in (b"first version\n", b"the second version, longer\n"):
        content["now"] = text
        local.write_bytes(text)
        filesystem, path = fsspec.core.url_to_fs(address, skip_instance_cache=True)
        keys.append(filesystem.ukey(path))
        found = filesystem.info(path)
        facts.append((found["size"], found.get("ETag")))
    return keys[0] == keys[1], facts


same, facts = versions(f"http://127.0.0.1:{server.server_address[1]}/file.txt")
print("HTTP: the same key:", same, *facts)
assert same and facts[0] != facts[1]
same, facts = versions(str(local))
print("local: the same key:", same, *facts)
assert not same
P
