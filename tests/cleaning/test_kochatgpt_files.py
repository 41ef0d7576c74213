"""Downloads resume, verify, and say what is wrong; against a server on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kochat.cleaning.kochatgpt_files import GIT_BLOBS, download, git_blob_id
from kochat.errors import UserError

CONTENT = ('[{"prompt": "안녕"}]' * 20_000).encode()
BLOB = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
NAME = "kochatgpt_3_PPO.jsonl"


class Handler(BaseHTTPRequestHandler):
    """Serve CONTENT with ranges; `cut` responses break off in the middle."""

    def do_GET(self) -> None:
        server = self.server
        if NAME not in self.path:
            self.send_error(404)
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.starts.append(start)
        if start >= len(CONTENT):
            self.send_error(416)
            return
        ranged = "Range" in self.headers and server.ranges
        body = CONTENT[start:] if ranged else CONTENT
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut:
            server.cut -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.starts, server.cut, server.ranges = [], 0, True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server: ThreadingHTTPServer, folder: Path, blob: str = BLOB) -> bytes:
    (path,) = download(folder, f"http://127.0.0.1:{server.server_port}/data", {NAME: blob}, progress=False)
    return path.read_bytes()


def test_fetch_verify_record_and_skip(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "v1") == CONTENT
    record = json.loads((tmp_path / "v1" / "download.json").read_text())
    assert record[NAME]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    fetch(server, tmp_path / "v1")
    assert server.starts == [0]


def test_resume_after_a_break(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.cut = 2
    assert fetch(server, tmp_path) == CONTENT
    assert server.starts == [0, len(CONTENT) // 2, len(CONTENT) // 2 + (len(CONTENT) - len(CONTENT) // 2) // 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download.json", NAME]


def test_resume_from_an_earlier_command(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:1000])
    assert fetch(server, tmp_path) == CONTENT
    assert server.starts == [1000]


def test_a_server_without_ranges_and_a_part_that_is_too_long(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * 1000)
    assert fetch(server, tmp_path) == CONTENT
    (tmp_path / NAME).unlink()
    server.ranges = True
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert fetch(server, tmp_path) == CONTENT


def test_errors(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="checksum differs"):
        fetch(server, tmp_path, "0" * 40)
    assert list(tmp_path.iterdir()) == []
    server.cut = 9
    with pytest.raises(UserError, match="was interrupted 4 times"):
        fetch(server, tmp_path)
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(UserError, match="answered 404"):
        download(tmp_path, address, {"other.jsonl": BLOB}, progress=False)
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(UserError, match="is there already"):
        fetch(server, tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be reached .* by hand") as caught:
        download(tmp_path, "http://127.0.0.1:9", {NAME: BLOB}, progress=False)
    assert "\n" not in str(caught.value)


def test_the_published_prompt_file_has_the_pinned_id() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "kochatgpt" / NAME
    if not path.exists():
        pytest.skip("the shared data are not here")
    assert git_blob_id(path) == GIT_BLOBS[NAME] == "e5f9f4669954a6f8fcc98bad9968df7914a05181"
