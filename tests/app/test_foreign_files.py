"""Nobody gets a file of the server by naming it: a request with any path, by every way of naming one, gets nothing."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from drawn_film import Walker, film, write_film
from maskdet.app.own_files_page import OwnFilesPage
from maskdet.app.uploads import UploadError, check_uploaded
from running_app import client, png, running_app

REFUSED = "This is no file that was sent here."
META = {"meta": {"_type": "gradio.FileData"}}
KINDS = ("image", "video")


@pytest.fixture
def private(tmp_path) -> dict[str, Path]:
    """Return a picture and a video that lie on the server and that nobody has sent."""
    (tmp_path / "private.png").write_bytes(png())
    walk = write_film(tmp_path / "private.mp4", film([Walker(0, (80, 70), (2, 0))], 3))
    return {"image": tmp_path / "private.png", "video": walk}


@pytest.fixture(autouse=True)
def nothing_new() -> Iterator[None]:
    """Assert that the folder of uploads holds what it held."""
    before = held_files()
    yield
    assert held_files() == before


def uploads_dir() -> Path:
    return running_app().app.state.service.uploads_dir


def held_files() -> set[Path]:
    return {path for path in uploads_dir().rglob("*") if path.is_file()}


def event_of(kind: str) -> tuple[int, list[Any], int]:
    """Return number and inputs of the event that looks at a picture or video, and the place of that among the inputs.

    Inputs are as the page has them at the start.
    """
    with client() as visitor:
        config = visitor.get("/config").json()
    by_id = {component["id"]: component for component in config["components"]}
    for event in config["dependencies"]:
        inputs = [by_id[number] for number in event["inputs"]]
        places = [place for place, component in enumerate(inputs) if component["type"] == kind]
        if places and event["backend_fn"]:
            return event["id"], [component["props"].get("value") for component in inputs], places[0]
    raise AssertionError(kind)


def answer_to(number: int, data: list[Any]) -> dict[str, Any]:
    """Return what the page is told once an event has ended."""
    session = uuid.uuid4().hex
    with client() as visitor:
        joined = visitor.post(
            "/gradio_api/queue/join", json={"data": data, "fn_index": number, "session_hash": session}
        )
        assert joined.status_code == 200
        with visitor.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:") and (message := json.loads(line[5:]))["msg"] == "process_completed":
                    return message
    raise AssertionError("the event did not end")


def looked_at(kind: str, value: Any) -> dict[str, Any]:
    number, data, place = event_of(kind)
    data[place] = value
    return answer_to(number, data)


def assert_refused(answer: dict[str, Any]) -> None:
    assert answer["success"] is False
    assert answer["output"]["error"] == REFUSED


@pytest.mark.parametrize("meta", [META, {}, {"meta": {}}], ids=["meta", "none", "empty"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_path_on_the_server_is_refused(kind, meta, private):
    path = private[kind]
    name = str(path)
    for form in (name, f"file://{name}", f"{uploads_dir()}/../..{name}", f"{uploads_dir()}/a/{'../' * 20}{name}"):
        assert_refused(looked_at(kind, {"path": form} | meta))
    assert_refused(looked_at(kind, {"path": "/etc/passwd", "orig_name": "scene.png", "is_stream": True} | meta))


@pytest.mark.parametrize("meta", [META, {}], ids=["meta", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_out_of_the_uploads_is_refused(kind, meta, private):
    link = uploads_dir() / f"link{private[kind].suffix}"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(private[kind])
    try:
        assert_refused(looked_at(kind, {"path": str(link)} | meta))
    finally:
        link.unlink()


@pytest.mark.parametrize("meta", [META, {}], ids=["meta", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_address_is_refused_and_not_fetched(kind, meta):
    for address in ("https://example.org/a.png", "http://127.0.0.1:1/a.mp4", f"{running_app().url}health"):
        assert_refused(looked_at(kind, {"path": address, "url": address} | meta))


def test_a_file_hidden_in_another_input_or_deep_inside_is_refused(private):
    number, data, _ = event_of("image")
    name = {"path": str(private["image"])} | META
    for other in range(len(data)):
        for value in (name, [name], {"value": {"deep": [[name]]}}):
            assert_refused(answer_to(number, data[:other] + [value] + data[other + 1 :]))
    assert_refused(looked_at("image", {"path": 7}))
    assert_refused(looked_at("image", {"path": ["a"]}))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sent_is_looked_at(kind, private):
    before = held_files()
    with client() as visitor:
        [path] = visitor.post("/gradio_api/upload", files={"files": private[kind].open("rb")}).json()
    try:
        answer = looked_at(kind, {"path": path} | META)
        assert answer["success"] is True
        assert "md-counts" in json.dumps(answer["output"]["data"])
        Path(path).unlink()
        assert "not held any more" in json.dumps(looked_at(kind, {"path": path} | META)["output"]["data"])
    finally:
        for new in held_files() - before:
            new.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_first_check_the_others_hold(kind, private, monkeypatch):
    monkeypatch.setattr(OwnFilesPage, "preprocess_data", gr.Blocks.preprocess_data)
    named = looked_at(kind, {"path": str(private[kind])} | META)  # gradio's own check, for a page that was launched
    assert named["success"] is False
    bare = looked_at(kind, {"path": str(private[kind])})  # the service's: gradio checks and copies nothing without meta
    assert bare["success"] is False or REFUSED in json.dumps(bare["output"]["data"])


@pytest.mark.parametrize(
    "address",
    ["file=https://example.org/a.png", "file=http://127.0.0.1/", "file/https://example.org/", "proxy=http://a"],
)
def test_the_server_runs_no_errands(address):
    with client() as visitor:
        for method in ("GET", "HEAD"):
            assert visitor.request(method, f"/gradio_api/{address}").status_code == 403


def test_files_of_the_server_have_no_address(private):
    with client() as visitor:
        for path in (private["image"], "/etc/passwd", running_app().shelf.first.predictor.model_path):
            assert visitor.get(f"/gradio_api/file={path}").status_code == 403


def test_only_what_lies_below_the_folder_is_an_upload(tmp_path):
    uploads, outside = tmp_path / "uploads", tmp_path / "uploads-too"
    (uploads / "a").mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "way-in").symlink_to(uploads)
    (uploads / "way-out").symlink_to(outside)
    (uploads / "circle").symlink_to(uploads / "circle")
    inside = uploads.resolve() / "a" / "b.png"
    for path in (uploads / "a" / "b.png", str(uploads / "a" / "b.png"), tmp_path / "way-in" / "a" / "b.png"):
        assert check_uploaded(path, uploads) == check_uploaded(path, tmp_path / "way-in") == inside
    for path in (uploads, "", "a/b.png", outside / "b.png", uploads / ".." / "b.png", uploads / "way-out" / "b.png",
                 uploads / "circle" / "b.png", "http://host/b.png", f"{uploads}/a\0b", 7, None, ["a"]):  # fmt: skip
        with pytest.raises(UploadError, match="no file that was sent here"):
            check_uploaded(path, uploads)
