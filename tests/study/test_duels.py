"""An OpenAI-compatible endpoint judges pairs of answers: both orders, ties, and nothing asked twice. The endpoint is a local stub."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kochat.errors import UserError
from kochat.report.study_files import ContrastEntry
from kochat.study.duels import judge_chains
from kochat.study.endpoint_judge import PlannedJudge, prefer


class Stub(HTTPServer):
    """Answers with what `said` makes of a question, and keeps what it was asked."""

    def __init__(self, said):
        super().__init__(("127.0.0.1", 0), Handler)
        self.said, self.asked, self.keys = said, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][0]["content"]
        self.server.asked.append((self.path, body["model"], question))
        self.server.keys.append(self.headers.get("Authorization"))
        reply = self.server.said(question)
        status, content = reply if isinstance(reply, tuple) else (200, {"choices": [{"message": {"content": reply}}]})
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(said):
        servers.append(Stub(said))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def better_is(text):
    """Return a judge that prefers the answer with `text` in it, wherever it stands."""
    return lambda question: "A" if text in question.split("답 B:")[0] else "B"


def judge(server, **options):
    return PlannedJudge(url=server.url, model="judge-1", **options)


def test_the_better_answer_wins_in_both_orders(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server = serve(better_is("파리"))
    one = judge(server, key_variable="MY_KEY")
    assert prefer(one, "수도?", "파리예요.", "런던이에요.") == 1
    assert prefer(one, "수도?", "런던이에요.", "파리예요.") == -1
    assert {(path, model) for path, model, _ in server.asked} == {("/v1/chat/completions", "judge-1")}
    assert set(server.keys) == {"Bearer secret"}


def test_a_judge_that_always_takes_the_first_place_says_nothing(serve):
    assert prefer(judge(serve(lambda question: "A")), "?", "가", "나") == 0


def test_a_tie_is_a_tie(serve):
    server = serve(lambda question: " C\n")
    assert prefer(judge(server), "?", "가", "나") == 0
    assert server.keys == [None, None]  # no key, none sent


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda question: "둘 다 좋아요", "instead of A, B or C"),
        (lambda question: (401, {"error": "no"}), "answers 401"),
        (lambda question: (200, {"answer": "A"}), "does not answer as OpenAI"),
    ],
)
def test_what_is_no_judgement_is_said(serve, said, message):
    with pytest.raises(UserError, match=message):
        prefer(judge(serve(said)), "?", "가", "나")


def test_no_server_is_said_in_a_line():
    with pytest.raises(UserError, match="start the server, or leave `judge` out"):
        prefer(PlannedJudge(url="http://127.0.0.1:9/v1", model="x", timeout=2), "?", "가", "나")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8000", "ftp://x"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match="url"):
        PlannedJudge(url=url, model="x")


def answers(folder, texts):
    rows = [{"id": str(i), "prompt": f"질문 {i}", "answer": text, "kind": "usual"} for i, text in enumerate(texts)]
    rows.append({"id": "fixed", "prompt": "?", "answer": "x", "kind": "fixed"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_a_chain_is_judged_once_and_again_where_an_answer_changed(serve, tmp_path):
    server = serve(better_is("파리"))
    folders = {
        "sft": answers(tmp_path / "sft", ["몰라요", "같아요"]),
        "ppo": answers(tmp_path / "ppo", ["파리", "같아요"]),
    }
    chain = [ContrastEntry(chain=["sft", "ppo"])]
    judge_chains(judge(server), chain, tmp_path, folders)
    path = tmp_path / "duels" / "ppo--sft.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["preference"]) for row in rows] == [
        ("0", 1),
        ("1", 0),
    ]  # equal answers are a tie, not asked
    assert len(server.asked) == 2
    judge_chains(judge(server), chain, tmp_path, folders)
    assert len(server.asked) == 2
    answers(tmp_path / "ppo", ["파리요", "같아요"])
    judge_chains(judge(server), chain, tmp_path, folders)
    assert len(server.asked) == 4
