"""The command: what it refuses before seconds are spent, and what it says when it has started."""

import os
import signal
import subprocess
import sys

import httpx
import pytest

from exported_model import released
from maskdet.app.command import page_address, run_app, start_lines
from maskdet.app.server import bound_socket


def test_a_wrong_model_is_a_sentence(tmp_path):
    wrong = tmp_path / "wrong.onnx"
    wrong.write_text("no model")
    with pytest.raises(ValueError, match=r"wrong\.onnx: expected an ONNX file"):
        run_app([wrong], port=0)


def test_a_taken_port_and_a_foreign_address_are_refused():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(ValueError, match=rf"cannot listen at 127\.0\.0\.1, port {port}"):
            bound_socket("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"cannot listen at 192\.0\.2\.1"):
        bound_socket("192.0.2.1", 0)
    with pytest.raises(ValueError, match="expected a number in 0…65535, got 70000"):
        bound_socket("127.0.0.1", 70000)


def test_who_lets_others_in_is_told():
    for host in ("127.0.0.1", "localhost", "::1"):
        assert not any("password" in line for line in start_lines(host, page_address(host, 1), ["a"], {}))
    lines = start_lines("0.0.0.0", page_address("0.0.0.0", 1), ["a", "b"], {"c.onnx": "why"})  # noqa: S104
    assert "models:  a, b" in lines
    assert "not offered: c.onnx: why" in lines
    assert any("no password" in line for line in lines)


def test_it_starts_answers_and_stops_in_order_and_leaves_nothing(tmp_path):
    code = "import sys; from maskdet.app.command import run_app; run_app([sys.argv[1]], port=0, has_two_phase=False)"
    home = {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": "src",
        "OMP_NUM_THREADS": "1",
    }
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(released().onnx_path)],
        env=os.environ | home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        url = lines[1].split()[1]
        answer = httpx.get(f"{url}health", timeout=60, trust_env=False)
        assert answer.json()["models"] == ["reference"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert [path.name for path in (tmp_path / "home").rglob("*") if path.is_file()] == []
