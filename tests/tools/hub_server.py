#!/usr/bin/env python3
"""A hub on the loopback interface, for the tests of 'qasr pull': serves directories as repositories like the real hub, and
simulates its failures.

hub_server.py --repo ORG/NAME=DIR [--repo ...] --out DIR [OPTIONS]

DIR/port (and DIR/cdn_port) have its port once it listens; DIR/log has a line of JSON for every response: server, request, bytes of
the body sent, Authorization header.

  --revision NAME     a revision besides 'main'; all resolve to COMMIT
  --cdn               redirect weights to a second server, on another port, which refuses tokens
  --token TOKEN       requests without it get 401
  --rate N            bytes per second for each response
  --listing FILE      the response for every repository instead of the real listing
  --plain-listing     the real listing, but without sizes and hashes
  --no-ranges         ignore Range headers
  --rule NAME ACTION COUNT   for the first COUNT requests whose last path component matches the pattern NAME:
                      status=N[,retry-after=TEXT], truncate=N (bytes of body, then the connection ends), corrupt (one wrong
                      byte), grow (the file has one more byte), drop (no response), loop (redirect to itself)
"""
import argparse
import fnmatch
import hashlib
import json
import socket
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 16384


def is_large(name):
    return name.endswith(".safetensors")


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    def __init__(self, args):
        self.args = args
        self.repos = {name: Path(path) for name, path in (r.split("=", 1) for r in args.repo)}
        self.rules = [[name, action, int(count)] for name, action, count in args.rule]
        self.lock = threading.Lock()
        self.log_file = open(Path(args.out) / "log", "a", encoding="utf-8")
        self.cdn_port = None

    def rule_for(self, name):
        """The action for this request; counts it down."""
        with self.lock:
            for rule in self.rules:
                if rule[2] > 0 and fnmatch.fnmatchcase(name, rule[0]):
                    rule[2] -= 1
                    return rule[1]
        return ""

    def log(self, **entry):
        with self.lock:
            self.log_file.write(json.dumps(entry) + "\n")
            self.log_file.flush()

    def listing(self, repo, blobs):
        if self.args.listing:
            return Path(self.args.listing).read_bytes()
        siblings = []
        for path in sorted(p for p in self.repos[repo].rglob("*") if p.is_file()):
            name = path.relative_to(self.repos[repo]).as_posix()
            entry = {"rfilename": name}
            if blobs and not self.args.plain_listing:
                data = path.read_bytes()
                entry.update(size=len(data), blobId=git_hash(data))
                if is_large(name):
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 135}
            siblings.append(entry)
        return json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kind = "hub"
    hub = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.note(len(body), status)

    def note(self, sent, status):
        self.hub.log(server=self.kind, path=self.path, range=self.headers.get("Range"), status=status, sent=sent,
                     authorization=self.headers.get("Authorization"))

    def end_connection(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self):
        try:
            self.get()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def get(self):
        path = unquote(urlsplit(self.path).path).strip("/")  # proxy requests have the full URL
        parts = path.split("/")
        action = self.hub.rule_for(parts[-1])
        if action.startswith("status="):
            status, _, after = action[len("status="):].partition(",retry-after=")
            after = formatdate(time.time() + 2, usegmt=True) if after == "date" else after
            self.answer(int(status), b"no", **({"Retry_After": after} if after else {}))
        elif action == "drop":
            self.note(0, 0)
            self.end_connection()
        elif action == "loop":
            self.answer(302, Location=self.path)
        elif self.kind == "cdn" and self.headers.get("Authorization"):
            self.answer(400, b"two ways to sign in")
        elif self.kind == "hub" and self.hub.args.token and self.headers.get("Authorization") != f"Bearer {self.hub.args.token}":
            self.answer(401, b"who are you")
        elif self.kind == "cdn" and len(parts) == 3:
            self.give_file("/".join(parts[:2]), parts[2], action)
        elif parts[:2] == ["api", "models"] and "revision" in parts:
            self.give_listing(parts[2:], action)
        elif "resolve" in parts:
            self.give_resolved(parts, action)
        else:
            self.answer(404, b"no such page")

    def knows(self, repo, revision):
        return repo in self.hub.repos and revision in ("main", COMMIT, *self.hub.args.revision)

    def give_listing(self, parts, action):
        at = parts.index("revision")
        repo, revision = "/".join(parts[:at]), "/".join(parts[at + 1:])
        if not self.knows(repo, revision):
            self.answer(404, b"no such repository")
            return
        body = self.hub.listing(repo, "blobs=true" in self.path)
        self.answer(200, body[:len(body) // 2] if action == "corrupt" else body, Content_Type="application/json")

    def give_resolved(self, parts, action):
        at = parts.index("resolve")
        repo, name = "/".join(parts[:at]), parts[-1]
        if not self.knows(repo, "/".join(parts[at + 1:-1])) or not (self.hub.repos[repo] / name).is_file():
            self.answer(404, b"no such file")
        elif self.hub.args.cdn and is_large(name):
            data = (self.hub.repos[repo] / name).read_bytes()
            self.answer(302, Location=f"http://127.0.0.1:{self.hub.cdn_port}/{repo}/{name}?secret=1", ETag='"of the redirect"',
                        X_Linked_Etag=f'"{hashlib.sha256(data).hexdigest()}"', X_Linked_Size=str(len(data)), X_Repo_Commit=COMMIT)
        else:
            self.give_file(repo, name, action)

    def range(self, size):
        """begin, end, whether a range was requested"""
        text = self.headers.get("Range")
        if not text or self.hub.args.no_ranges:
            return 0, size, False
        begin, end = text.removeprefix("bytes=").split("-")
        return int(begin), min(int(end) + 1, size), True

    def give_file(self, repo, name, action):
        data = (self.hub.repos[repo] / name).read_bytes()
        etag = hashlib.sha256(data).hexdigest() if is_large(name) else git_hash(data)
        if action == "corrupt":
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]
        if action == "grow":
            data += b"\n"
        begin, end, part = self.range(len(data))
        if begin >= end and part:
            self.answer(416)
            return
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("Content-Length", str(end - begin))
        self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if action.startswith("truncate="):
            end = min(end, begin + int(action[len("truncate="):]))
        self.send_body(data[begin:end])
        if action.startswith("truncate="):
            self.end_connection()

    def send_body(self, body):
        sent = 0
        try:
            for at in range(0, len(body), CHUNK):
                self.wfile.write(body[at:at + CHUNK])
                sent += len(body[at:at + CHUNK])
                if self.hub.args.rate:
                    time.sleep(CHUNK / self.hub.args.rate)
        finally:
            self.note(sent, 206 if self.headers.get("Range") and not self.hub.args.no_ranges else 200)


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # killed clients close without notice
            super().handle_error(request, client_address)


def serve(hub, kind):
    handler = type("Handler", (Handler,), {"kind": kind, "hub": hub})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repo", action="append", default=[])
    parser.add_argument("--out", required=True)
    parser.add_argument("--revision", action="append", default=[])
    parser.add_argument("--cdn", action="store_true")
    parser.add_argument("--token")
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--listing")
    parser.add_argument("--plain-listing", action="store_true")
    parser.add_argument("--no-ranges", action="store_true")
    parser.add_argument("--rule", nargs=3, action="append", default=[])
    args = parser.parse_args()
    hub = Hub(args)
    if args.cdn:
        hub.cdn_port = serve(hub, "cdn")
    port = serve(hub, "hub")
    (Path(args.out) / "port.tmp").write_text(f"{port}\n", encoding="utf-8")
    (Path(args.out) / "port.tmp").rename(Path(args.out) / "port")
    threading.Event().wait()


if __name__ == "__main__":
    main()
