"""The interface for programs on a running server: equal to the predictor, errors as JSON, nothing lost under load."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import cv2
import httpx
import numpy as np
import pytest

from exported_model import SCORE_THRESHOLDS, scene_images
from maskdet import Predictor
from maskdet.app.models import LOWEST_SCORE
from maskdet.app.page import TITLE
from maskdet.inference.images_in import read_picture
from maskdet.inference.suppression import one_class_per_face
from running_app import BAD_NAMES, LIMITS, animated_gif, bad_uploads, client, png, running_app

NUM_BAD = 200


def post(content: bytes, **params: object) -> httpx.Response:
    with client() as visitor:
        return visitor.post("/api/detect", content=content, params=params, headers={"Content-Type": "image/png"})


def error_of(answer: httpx.Response) -> dict:
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    assert error["message"]
    return error


def test_faces_are_those_of_the_predictor():
    image, predictor = scene_images(2)[1], running_app().shelf.first.predictor
    assert isinstance(predictor, Predictor)
    found = predictor.detect(image)
    answer = post(png(image)).json()
    assert answer["image"] == {"width": image.shape[1], "height": image.shape[0]}
    assert answer["model"] == "reference"
    assert answer["score_thresholds"] == SCORE_THRESHOLDS
    assert len(found) > 0
    np.testing.assert_array_equal(np.float32([face["box_xyxy"] for face in answer["faces"]]), found.boxes_xyxy)
    np.testing.assert_array_equal(np.float32([face["score"] for face in answer["faces"]]), found.scores)
    names = [predictor.class_names[index] for index in found.class_indices]
    assert [face["class_name"] for face in answer["faces"]] == names
    assert answer["num_faces"] == {name: names.count(name) for name in predictor.class_names}
    assert answer["share_masked"] == names.count("with_mask") / len(names)


def test_a_form_a_plain_body_and_another_model_give_the_same():
    content, wanted = png(), post(png()).json()["faces"]
    with client() as visitor:
        form = visitor.post("/api/detect", files={"file": ("a.png", content, "image/png")}, params={"model": "twin"})
        plain = visitor.post("/api/detect", content=content)
    assert form.json()["faces"] == plain.json()["faces"] == wanted
    assert form.json()["model"] == "twin"


def test_thresholds_are_for_all_or_for_a_class():
    faces = post(png(), score_threshold=["0.35", "without_mask=1"]).json()["faces"]
    assert faces
    assert all(face["score"] >= 0.35 and face["class_name"] != "without_mask" for face in faces)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_uploads_are_answered_in_json(name):
    content, status = bad_uploads()[name]
    assert post(content).status_code == status
    with client() as visitor:
        form = visitor.post("/api/detect", files={"file": (name, content)})
    assert form.status_code == status
    assert error_of(form)["message"].endswith(".")


def test_an_animated_gif_is_looked_at_and_told():
    assert post(animated_gif(3)).json()["note"] == "the first of 3 frames"


@pytest.mark.parametrize(
    ("method", "address", "arguments", "status"),
    [
        ("GET", "/api/detect", {}, 405),
        ("POST", "/api/models", {}, 405),
        ("GET", "/api/nothing", {}, 404),
        ("POST", "/api/detect?model=other", {"content": b"x"}, 404),
        ("POST", "/api/detect?score_threshold=2", {"content": b"x"}, 400),
        ("POST", "/api/detect?score_threshold=hat=0.5", {"content": b"x"}, 400),
        ("POST", "/api/detect", {"json": {"image": "aGVsbG8="}}, 415),
        ("POST", "/api/detect", {"files": {"picture": b"x"}}, 400),
        ("POST", "/api/detect", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ("GET", "/picture/nobody/0/faces.csv?t=0,0,0", {}, 404),
        ("GET", "/video/nobody/film", {}, 404),
        ("GET", "/video/nobody/..%2f..%2fetc%2fpasswd", {}, 404),
    ],
)
def test_wrong_requests_are_answered_in_json(method, address, arguments, status):
    with client() as visitor:
        answer = visitor.request(method, address, **arguments)
    assert answer.status_code == status
    if "..%2f" not in address:
        error_of(answer)


def test_a_body_without_a_length_is_refused_once_it_is_too_long():
    def parts():
        for _ in range(40):
            yield bytes(100_000)

    with client() as visitor:
        answer = visitor.post("/api/detect", content=parts(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 413
    assert "at most 2 MB" in error_of(answer)["message"]


def test_two_hundred_bad_uploads_leave_the_server_as_it_was():
    kinds = list(bad_uploads().values())
    before = threading.active_count()
    with client() as visitor:
        for number in range(NUM_BAD):
            content, status = kinds[number % len(kinds)]
            assert visitor.post("/api/detect", content=content).status_code == status
        assert visitor.get("/health").json() == {"status": "ok", "models": ["reference", "twin"], "num_pending": 0}
    assert post(png()).status_code == 200
    assert threading.active_count() <= before + 4


def test_fifty_at_once_are_all_answered_alike():
    content = png()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(content), range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    faces = [answer.json()["faces"] for answer in answers]
    assert all(found == faces[0] for found in faces)


def test_more_than_can_wait_are_told_when_to_come_back(monkeypatch):
    queue = _service().picture_queue
    monkeypatch.setattr(queue, "_most", 0)
    answer = post(png())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    error_of(answer)


def upload_without_a_body(num_bytes: int = 1_000_000) -> socket.socket:
    """Return a connection that has said that a picture comes, and then nothing."""
    url = httpx.URL(running_app().url)
    sender = socket.create_connection((url.host, url.port), timeout=60)
    lines = (
        "POST /api/detect HTTP/1.1",
        f"Host: {url.host}",
        "Content-Type: image/png",
        f"Content-Length: {num_bytes}",
    )
    sender.sendall("\r\n".join([*lines, "", ""]).encode())
    return sender


def received(sender: socket.socket) -> str:
    """Return an answer whose body is an error."""
    content = b""
    while not content.endswith(b"}}") and (part := sender.recv(4096)):
        content += part
    return content.decode()


def wait_for_pending(num: int) -> None:
    for _ in range(600):
        if _service().picture_queue.num_pending == num:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{_service().picture_queue.num_pending} pending, expected {num}")


def test_who_finds_no_place_is_told_before_the_picture_is_read(monkeypatch):
    monkeypatch.setattr(_service().picture_queue, "_most", 2)
    with closing(upload_without_a_body()), closing(upload_without_a_body()):
        wait_for_pending(2)
        with closing(upload_without_a_body()) as third:
            answer = received(third)
        assert answer.startswith("HTTP/1.1 503")
        assert "retry-after" in answer.lower()
        assert post(png()).status_code == 503
    wait_for_pending(0)  # both have left
    assert post(png()).status_code == 200


def test_who_sends_too_slowly_loses_the_place(monkeypatch):
    monkeypatch.setattr(_service(), "limits", replace(LIMITS, max_seconds=0.2))
    with closing(upload_without_a_body()) as slow:
        answer = received(slow)
    assert answer.startswith("HTTP/1.1 408")
    assert "did not arrive within 0.2 seconds" in answer
    wait_for_pending(0)


def test_what_nobody_foresaw_is_no_traceback(monkeypatch):
    model = running_app().shelf.first

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(model.predictor, "detect", fail)
    answer = post(png())
    assert answer.status_code == 500
    assert "secret" not in error_of(answer)["message"]


def test_the_interface_describes_itself():
    with client() as visitor:
        described = visitor.get("/api/openapi.json").json()
        models = visitor.get("/api/models").json()["models"]
        page = visitor.get("/")
    assert set(described["paths"]) == {"/health", "/api/models", "/api/detect"}
    detect = described["paths"]["/api/detect"]["post"]
    assert set(detect["responses"]) >= {"200", "400", "404", "413", "415", "503"}
    assert "multipart/form-data" in detect["requestBody"]["content"]
    assert [model["name"] for model in models] == ["reference", "twin"]
    assert models[0]["score_thresholds"] == SCORE_THRESHOLDS
    assert TITLE in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "408" in detect["responses"]
    schemas = described["components"]["schemas"]
    assert "each once" in schemas["DetectAnswer"]["description"]
    assert "likeliest of this face" in schemas["Face"]["properties"]["class_name"]["description"]


def test_a_face_that_several_classes_claim_is_one_face():
    image, predictor = scene_images(1)[0], running_app().shelf.first.predictor
    claims = predictor.detect(image, LOWEST_SCORE)
    faces = one_class_per_face(claims)
    answer = post(png(image), score_threshold=LOWEST_SCORE).json()
    assert 0 < len(faces) < len(claims)
    np.testing.assert_array_equal(np.float32([face["box_xyxy"] for face in answer["faces"]]), faces.boxes_xyxy)
    assert sum(answer["num_faces"].values()) == len(faces)
    assert answer["share_masked"] == answer["num_faces"]["with_mask"] / len(faces)


def test_faces_of_a_jpeg_are_those_of_its_pixels():
    jpeg = cv2.imencode(".jpg", scene_images(1)[0][:, :, ::-1])[1].tobytes()
    found = running_app().shelf.first.predictor.detect(read_picture(jpeg).pixels)
    faces = post(jpeg).json()["faces"]
    assert len(found) > 0
    np.testing.assert_array_equal(np.float32([face["box_xyxy"] for face in faces]), found.boxes_xyxy)


def _service():
    return running_app().app.state.service
