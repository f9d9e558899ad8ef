"""The benchmark: turns are fair, ratios have the interval that they should, the table says what was measured."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from typer.testing import CliRunner

from exported_model import SIZE, released, scene_images
from maskdet.cli import app
from maskdet.commands.benchmark import command as runtime_benchmark
from maskdet.commands.benchmark import contenders as runtime_contenders
from maskdet.commands.benchmark import round_robin
from maskdet.commands.benchmark.command import parse_numbers, run_benchmark, summarize
from maskdet.commands.benchmark.contenders import PLAIN_TORCH, Contender, plain_torch_contender, runtime_contender
from maskdet.commands.benchmark.round_robin import MIN_ROUNDS, NUM_WARM_UPS, Timing, speed_ratio, time_in_turns
from maskdet.inference.metadata import METADATA_KEY, ModelMetadata
from maskdet.inference.runtime import open_runtime
from maskdet.inference.suppression import select
from maskdet.models.export.onnx_file import save_graph

FILE_KINDS = ("onnx fp32", "openvino fp32")


def sleeper(name: str, seconds: float, log: list, batch_size: int = 1) -> Contender:
    def detect(images):
        log.append((name, [image.item(0) for image in images]))
        time.sleep(seconds)
        return seconds / 2

    return Contender(name, SIZE, batch_size, detect)


def test_every_round_runs_each_once_on_the_same_images_in_changing_order():
    log = []
    contenders = [sleeper(PLAIN_TORCH, 0.004, log), sleeper("quick", 0.001, log), sleeper("pairs", 0.001, log, 2)]
    images = [np.full((2, 2, 3), number, np.uint8) for number in range(3)]
    timings = time_in_turns(contenders, images, seconds=0.3, pause=0)
    runs = log[NUM_WARM_UPS * 3 :]
    rounds = [runs[start : start + 3] for start in range(0, len(runs), 3)]
    assert len(rounds) == len(timings[0].seconds) > MIN_ROUNDS
    assert all({name for name, _ in one} == {PLAIN_TORCH, "quick", "pairs"} for one in rounds)
    assert len({tuple(name for name, _ in one) for one in rounds}) > 1
    for number, one in enumerate(rounds):
        first = number % 3
        assert dict(one) == {PLAIN_TORCH: [first], "quick": [first], "pairs": [first, (first + 1) % 3]}
    rows = {row.name: row for row in summarize(timings)}
    assert rows[PLAIN_TORCH].speed_ratio == 1.0
    assert rows["quick"].speed_ratio > 1.5
    assert rows["pairs"].speed_ratio is None  # no baseline of two images
    assert rows["pairs"].images_per_second == pytest.approx(2000 / rows["pairs"].median_ms)
    assert rows["quick"].network_ms == pytest.approx(0.5)
    assert rows["quick"].median_ms <= rows["quick"].p95_ms


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 2), min_size=6, max_size=60))
def test_the_interval_is_the_exact_one_of_the_median(ratios):
    ratios = np.array(ratios)
    found = speed_ratio(ratios, np.ones(len(ratios)))
    assert found.low <= found.median <= found.high
    rank = int(binom.ppf(0.025, len(ratios), 0.5))  # of the lower end, from 1 on
    ordered = np.sort(ratios)
    assert found.low == ordered[rank - 1]
    assert found.high >= ordered[len(ratios) - rank - 1]


def test_every_model_is_held_to_its_own_plain_torch():
    times = {"a, plain torch": 0.1, "a, onnx fp32": 0.05, "b, plain torch": 0.4, "b, onnx fp32": 0.2}
    timings = [
        Timing(Contender(name, SIZE, 1, None, f"{name[0]}, {PLAIN_TORCH}"), np.full(8, seconds), np.full(8, seconds))
        for name, seconds in times.items()
    ]
    unknown = Timing(Contender("c.onnx, onnx fp32", SIZE, 1, None, None), np.full(8, 0.1), np.full(8, 0.1))
    rows = {row.name: row for row in summarize([*timings, unknown])}
    assert {name: rows[name].speed_ratio for name in times} == dict(zip(times, (1.0, 2.0, 1.0, 2.0), strict=True))
    assert rows["c.onnx, onnx fp32"].speed_ratio is None
    assert rows["c.onnx, onnx fp32"].cells()[-1] == "–"


def test_a_picture_is_asked_for_once_a_round_and_only_when_its_turn_comes():
    asked, log = [], []

    class Pictures(Sequence):
        def __len__(self):
            return 1_000_000

        def __getitem__(self, place):
            asked.append(place)
            return np.full((2, 2, 3), place, np.uint8)

    time_in_turns([sleeper("one", 0, log), sleeper("pairs", 0, log, 2)], Pictures(), seconds=1e-9, pause=0)
    starts = [*range(NUM_WARM_UPS), *range(MIN_ROUNDS)]
    assert asked == [place for start in starts for place in (start, start + 1)]
    assert dict(log[-2:]) == {"one": [2], "pairs": [2, 3]}


def test_too_few_rounds_have_no_interval():
    found = speed_ratio(np.ones(3), np.ones(3))
    assert (found.median, found.low, found.high) == (1.0, None, None)


@pytest.fixture
def fast(monkeypatch):
    """Take the graph of the shared release instead of tracing anew, and no pause."""

    def copy_graph(detector, path, image_size, properties):
        path.write_bytes(released().onnx_path.read_bytes())

    monkeypatch.setattr(runtime_benchmark, "export_onnx", copy_graph)
    monkeypatch.setattr(round_robin, "NUM_WARM_UPS", 1)


def test_models_are_timed_with_every_runtime_against_torch(fast, tmp_path, capsys):
    train, stranger = released().folder / "train", tmp_path / "stranger.onnx"
    save_graph(onnx.load(released().onnx_path), stranger, {METADATA_KEY: stranger_metadata().to_json()})
    rows = run_benchmark(
        [train, released().onnx_path, stranger],
        runtimes=["onnx", "openvino", "torch"],
        image_sizes=[SIZE],
        batch_sizes=[1, 2],
        num_threads=1,
        seconds=0.1,
        output=tmp_path,
    )
    kinds = [f"{train}, {PLAIN_TORCH}"]
    kinds += [f"{model}, {kind}" for model in (train, released().onnx_path, stranger) for kind in FILE_KINDS]
    assert [(row.name, row.batch_size) for row in rows] == [(kind, batch) for kind in kinds for batch in (1, 2)]
    assert all(row.num_rounds >= MIN_ROUNDS for row in rows)
    assert {row.name for row in rows if row.speed_ratio is None} == {f"{stranger}, {kind}" for kind in FILE_KINDS}
    assert all(0 < row.network_ms < row.median_ms for row in rows)
    record = json.loads((tmp_path / "runtimes.json").read_text())
    assert [row["name"] for row in record["rows"]] == [row.name for row in rows]
    assert record["threads"] == 1
    text = (tmp_path / "runtimes.md").read_text()
    assert text in capsys.readouterr().out
    assert record["machine"] in text
    assert f"| {train}, {PLAIN_TORCH} | {SIZE} | 2 |" in text


def stranger_metadata() -> ModelMetadata:
    """Return the metadata of the release, trained with another seed."""
    metadata = open_runtime(released().onnx_path).metadata
    return replace(metadata, details={**metadata.details, "config": {**metadata.details["config"], "seed": 1}})


def test_contenders_run_the_whole_way_and_leave_the_detector_as_it_was(monkeypatch):
    release, image = released(), scene_images(1)[0]
    runtime, seen = open_runtime(release.onnx_path), []
    monkeypatch.setattr(runtime_contenders, "clip_boxes", lambda boxes, image_wh: seen.append(len(boxes)))
    settings_before = dict(release.detector.detect_options)
    contenders = [
        runtime_contender(runtime, 1, "onnx"),
        plain_torch_contender(release.detector, runtime.metadata, SIZE, 1),
    ]
    for contender in contenders:
        cost = contender.run([image])
        assert 0 < cost.network_seconds < cost.seconds
    lowest = min(runtime.metadata.score_thresholds.values())
    pixels = runtime.metadata.framing.frame(image.shape[1::-1]).apply(image)
    outputs = runtime.run(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    options = replace(runtime.metadata.detect, score_threshold=lowest)
    assert seen == [pytest.approx(len(select(outputs[0][0], outputs[1][0], options)), abs=1)]
    assert release.detector.detect_options == settings_before


def test_numbers_of_an_option():
    assert parse_numbers("", "--sizes") == []
    with pytest.raises(ValueError, match="--sizes: expected whole numbers with commas between them, got '320px'"):
        parse_numbers("320px", "--sizes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtimes": ["tpu"]}, "--runtimes: expected names out of onnx, openvino, torch, got tpu"),
        ({"batch_sizes": [0]}, "--batch: expected numbers of images from 1 on"),
        ({"seconds": 0}, "expected threads >= 1 and seconds > 0"),
        ({"runtimes": ["torch"]}, r"reference\.onnx: expected a model that torch can run"),
    ],
)
def test_what_cannot_be_timed_is_refused(options, message, tmp_path):
    wanted = {"runtimes": ["onnx"], "image_sizes": [], "batch_sizes": [1], "num_threads": 1, "seconds": 0.1} | options
    with pytest.raises(ValueError, match=message):
        run_benchmark([released().onnx_path], output=tmp_path, **wanted)


def test_a_file_that_no_runtime_can_run_is_refused_beside_others_too(tmp_path):
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(ValueError, match=r"model\.xml: expected a model that onnx can run"):
        run_benchmark(
            [released().onnx_path, tmp_path / "model.xml"],
            runtimes=["onnx"],
            image_sizes=[],
            batch_sizes=[1],
            num_threads=1,
            seconds=0.1,
            output=tmp_path,
        )


def test_the_command_times_files_or_says_why_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = str(released().onnx_path)
    ended = CliRunner().invoke(app, ["benchmark", model, "--runtimes", "onnx", "--seconds", "0.1", "--threads", "1"])
    assert ended.exit_code == 0, ended.output
    assert "| runs on |" in ended.stdout
    assert len(json.loads((tmp_path / "reports/benchmarks/runtimes.json").read_text())["rows"]) == 1
    wrong = {
        "--batch: expected whole numbers": ["--batch", "two"],
        "--runtimes: expected names out of": ["--runtimes", "tflite"],
        "expected threads >= 1 and seconds > 0": ["--seconds", "0"],
        "absent.onnx: expected a model": ["absent.onnx"],
    }
    for message, words in wrong.items():
        ended = CliRunner().invoke(app, ["benchmark", *words, *([] if "absent.onnx" in words else [model])])
        assert (ended.exit_code, message in ended.stderr) == (2, True), ended.output
