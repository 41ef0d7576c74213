import subprocess

from kochat.engine import provenance


def test_the_environment_names_code_and_machine():
    found = provenance.environment()
    assert {"kochat", "commit", "torch", "device", "processor", "threads"} <= found.keys()
    assert "cores" in found["processor"]


def test_a_checkout_of_something_else_is_not_kochats_commit(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    package = tmp_path / "site-packages" / "kochat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(provenance.kochat, "__file__", str(package / "__init__.py"))
    provenance.commit.cache_clear()
    try:
        assert provenance.commit() is None
    finally:
        provenance.commit.cache_clear()
