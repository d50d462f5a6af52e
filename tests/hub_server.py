"""A server on this machine that speaks as much of the Hub's protocol as its client and `datasets` need.

Creating repositories, private ones behind a token, pre-upload, Git LFS uploads, commits, trees, files by range.
Not spoken: Xet (the tests turn it off), pull requests, branches.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "x" * 30


@dataclass
class Repository:
    private: bool
    files: dict[str, tuple[bytes, bool]] = field(default_factory=dict)  # path: content, large
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr(self.commits).encode()).hexdigest()


class Hub:
    """State of the server, and what its tests look at: `uploads` is every large file that was sent."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.refuse: Callable[[int], str | None] = lambda number: None  # "drop" or "refuse" an upload
        self.attempts = 0
        handler = type("Bound", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home: str, token: str | None = TOKEN) -> dict[str, str]:
        """Return the variables with which a process takes this for the Hub."""
        mine = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1"}
        return {**mine, **({"HF_TOKEN": token} if token else {})}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route(body=False)

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def _route(self, *, body: bool = True) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.content = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        self.body = body
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query)
        path = unquote(parts.path)
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, path):
                method(self, *match.groups())
                return
        self._json({"error": f"no such route {path}"}, 404)

    def _chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.body:
            self.wfile.write(data)

    def _may(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self._may()):
            self._json(
                {"error": "Repository not found"}, 404 if self._may() else 401, **{"X-Error-Code": "RepoNotFound"}
            )
            return None
        return found

    def create(self) -> None:
        asked = json.loads(self.content)
        name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
        if not self._may():
            self._json({"error": "Invalid token"}, 401)
        elif name in self.hub.repositories:
            self._json(
                {"error": "You already created this dataset repo", "url": f"{self.hub.url}/datasets/{name}"}, 409
            )
        else:
            self.hub.repositories[name] = Repository(private=bool(asked.get("private")))
            self._json({"url": f"{self.hub.url}/datasets/{name}", "id": name, "name": name})

    def info(self, name: str) -> None:
        if repository := self._repository(name):
            files = [{"rfilename": path} for path in sorted(repository.files)]
            self._json({"_id": "0", "id": name, "sha": repository.sha, "private": repository.private, "gated": False,
                        "disabled": False, "tags": [], "downloads": 0, "likes": 0, "siblings": files})  # fmt: skip

    def tree(self, name: str, folder: str | None) -> None:
        if not (repository := self._repository(name)):
            return
        prefix = f"{folder.strip('/')}/" if folder and folder.strip("/") else ""
        found: dict[str, Any] = {}
        for path in sorted(repository.files):
            if path.startswith(prefix):
                rest = path.removeprefix(prefix)
                if "/" in rest:
                    place = prefix + rest.split("/")[0]
                    found[place] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": place}
                if "/" not in rest or self.query.get("recursive", ["false"])[0].lower() in ("true", "1"):
                    found[path] = _file(repository, path)
        if prefix and not found:
            self._json({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
        else:
            self._json(list(found.values()))

    def paths_info(self, name: str) -> None:
        if repository := self._repository(name):
            wanted = parse_qs(self.content.decode()).get("paths", [])
            if not wanted and self.content[:1] == b"{":
                wanted = json.loads(self.content)["paths"]
            known = [_file(repository, path) for path in wanted if path in repository.files]
            folders = [
                {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
                for path in wanted
                if path not in repository.files and any(each.startswith(f"{path}/") for each in repository.files)
            ]
            self._json([*known, *folders])

    def preupload(self, name: str) -> None:
        if self._repository(name):
            files = json.loads(self.content)["files"]
            large = (".parquet", ".arrow", ".safetensors")
            self._json({"files": [
                {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(large) else "regular",
                 "shouldIgnore": False} for each in files
            ]})  # fmt: skip

    def batch(self, name: str) -> None:
        if self._repository(name):
            objects = [
                {**each, **({} if each["oid"] in self.hub.large else {
                    "actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}})}
                for each in json.loads(self.content)["objects"]
            ]  # fmt: skip
            self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        self.hub.attempts += 1
        verdict = self.hub.refuse(self.hub.attempts)
        if verdict == "drop":
            self.close_connection = True
            self.connection.close()
        elif verdict == "refuse":
            self._json({"error": "the quota of this organisation is used up"}, 403)
        elif hashlib.sha256(self.content).hexdigest() != oid:
            self._json({"error": "checksum"}, 400)
        else:
            self.hub.large[oid] = self.content
            self.hub.uploads.append(oid)
            self._send(b"", 200, {})

    def commit(self, name: str) -> None:
        if not (repository := self._repository(name)):
            return
        for line in self.content.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                repository.commits.append(value["summary"])
            elif item["key"] == "file":
                repository.files[value["path"]] = (base64.b64decode(value["content"]), False)
            elif item["key"] == "lfsFile":
                repository.files[value["path"]] = (self.hub.large[value["oid"]], True)
            elif item["key"] == "deletedFile":
                del repository.files[value["path"]]
        self._json({"success": True, "commitOid": repository.sha,
                    "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{repository.sha}"})  # fmt: skip

    def resolve(self, name: str, path: str) -> None:
        if not (repository := self._repository(name)):
            return
        if path not in repository.files:
            self._json({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
            return
        data, large = repository.files[path]
        etag = hashlib.sha256(data).hexdigest() if large else _blob(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": repository.sha, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            self._send(data, 200, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        self._send(data[first : last + 1], 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def who(self) -> None:
        self._json(
            {"type": "user", "name": "lab", "orgs": []} if self._may() else {"error": "Invalid"},
            200 if self._may() else 401,
        )


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _file(repository: Repository, path: str) -> dict[str, Any]:
    data, large = repository.files[path]
    item: dict[str, Any] = {"type": "file", "oid": _blob(data), "size": len(data), "path": path}
    if large:
        item["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return item


REPO = r"/api/datasets/([^/]+/[^/]+)"
ROUTES = [
    (r"/api/repos/create", _Handler.create),
    (r"/api/validate-yaml", _Handler.validate),
    (r"/api/whoami-v2", _Handler.who),
    (rf"{REPO}(?:/revision/[^/]+)?", _Handler.info),
    (rf"{REPO}/tree/[^/]+(/.*)?", _Handler.tree),
    (rf"{REPO}/paths-info/[^/]+", _Handler.paths_info),
    (rf"{REPO}/preupload/[^/]+", _Handler.preupload),
    (rf"{REPO}/commit/[^/]+", _Handler.commit),
    (r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"/lfs/(\w+)", _Handler.upload),
    (r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", _Handler.resolve),
]
