"""A stand-in for the Hugging Face Hub: as much of its HTTP interface as downloads, uploads and lists need."""

import hashlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants

Files = dict[str, bytes]
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Hub:
    """What the hub holds, what is wrong with it, and what it was asked.

    Args:
        url: where it answers.
        models: by name the files of each commit, the newest last.
        branches: by (name, branch or tag) the commit.
        cut: bytes after which a transfer of weights breaks off.
        damaged: weights arrive with one bit flipped.
        requests: method and path of each request.
    """

    url: str = ""
    models: dict[str, dict[str, Files]] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    large: Files = field(default_factory=dict)  # uploaded by their SHA-256, before a commit names them
    cut: int | None = None
    damaged: bool = False
    requests: list[str] = field(default_factory=list)

    def commit(self, repo: str, files: Files, branch: str = "main") -> str:
        """Add a commit with further files; returns its name."""
        commits = self.models.setdefault(repo, {})
        parent = commits.get(self.branches.get((repo, branch), ""), {})
        name = hashlib.sha1(f"{repo} {len(commits)}".encode()).hexdigest()
        commits[name] = parent | files
        self.branches[repo, branch] = name
        return name


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, X_Error_Code=code, X_Error_Message=code)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        self.hub.requests.append(f"{self.command} {path}")
        if path == "/api/models":
            self.list_models(query)
        elif match := re.fullmatch(rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path):
            self.resolve(match["repo"], match["revision"], match["file"])
        else:
            self.answer(404)

    def list_models(self, query: dict[str, list[str]]) -> None:
        author = query.get("author", [""])[0]
        tagged = [name for name in self.hub.models if query["filter"] == ["spnet"] and name.startswith(author)]
        self.answer(200, json.dumps([{"id": name, "modelId": name} for name in tagged]).encode())

    def resolve(self, repo: str, revision: str, file: str) -> None:
        if repo not in self.hub.models:
            return self.refuse(401, "RepoNotFound")  # as the hub answers those who are not logged in
        commit = self.hub.branches.get((repo, revision), revision)
        if commit not in self.hub.models[repo]:
            return self.refuse(404, "RevisionNotFound")
        if file not in self.hub.models[repo][commit]:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content = self.hub.models[repo][commit][file]
        headers: dict[str, Any] = {
            "X_Repo_Commit": commit,
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "Accept_Ranges": "bytes",
        }
        if is_large(file):
            headers |= {"X_Linked_Etag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Linked_Size": str(len(content))}
        if self.command == "HEAD":
            return self.answer(200, Content_Length=str(len(content)), **headers)
        return self.send_file(content, is_large(file), headers)

    def send_file(self, content: bytes, large: bool, headers: dict[str, Any]) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        status = 206 if start else 200
        if large and self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        part = content[start:]
        if not large or self.hub.cut is None:
            return self.answer(status, part, **headers)
        self.answer(status, content[start : self.hub.cut], Content_Length=str(len(part)), **headers)
        self.close_connection = True
        return None

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self.body()
        if "Authorization" not in self.headers:
            return self.refuse(401, "Unauthorized")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted['organization']}/{wanted['name']}"
            self.hub.models.setdefault(repo, {})
            content: dict[str, Any] = {"url": f"{self.hub.url}/{repo}"}
        elif path == "/api/validate-yaml":
            content = {"errors": [], "warnings": []}
        elif "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            content = {"files": [{"path": file, "uploadMode": mode(file), "shouldIgnore": False} for file in files]}
        elif path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            content = {"transfer": "basic", "objects": [self.upload_action(one) for one in wanted]}
        elif match := re.fullmatch(rf"/api/models/{REPO}/commit/(?P<branch>.+)", path):
            content = self.receive(match["repo"], match["branch"], body)
        else:
            return self.answer(404)
        return self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def upload_action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return wanted | {"actions": {"upload": {"href": f"{self.hub.url}/large/{wanted['oid']}"}}}

    def receive(self, repo: str, branch: str, body: bytes) -> dict[str, Any]:
        files: Files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        commit = self.hub.commit(repo, files, branch)
        return {"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{repo}/commit/{commit}"}

    def do_PUT(self) -> None:
        content = self.body()
        self.hub.large[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)


def is_large(file: str) -> bool:
    return file.endswith(".safetensors")


def mode(file: str) -> str:
    return "lfs" if is_large(file) else "regular"


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub on this machine, as long as the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(hub: Hub, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub, which reads the environment when it is imported, ask this hub and keep this cache."""
    patch.setenv("NO_PROXY", "127.0.0.1")
    patch.delenv("HF_TOKEN", raising=False)
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
