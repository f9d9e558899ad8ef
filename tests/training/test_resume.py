"""A killed training goes on as if it had never stopped, and no two processes train one fold."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from maskdet.schema import IMAGES
from maskdet.stages import train
from maskdet.stages.train import CODE
from maskdet.training.fit import GROUPS, SPEED_SETTINGS
from maskdet.training.resume import forget, only_one_process, run_key
from training_world import CONF, shrunk_config, write_params, write_world

from .conftest import EPOCHS

SRC = str(CONF.parent / "src")


def killed_after_the_first_checkpoint(root) -> subprocess.CompletedProcess:
    """Run the stage `train` as DVC does, and kill it with SIGKILL as soon as an epoch's checkpoint is there."""
    environment = {**os.environ, "DVC_STAGE": "train@0", "OMP_NUM_THREADS": "1", "PYTHONPATH": SRC}
    command = [sys.executable, "-m", "maskdet.stages.train", "fold=0"]
    with (root / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while process.poll() is None and not list(root.glob("build/resume/*/0/last.ckpt")):
            assert time.monotonic() < deadline, (root / "log").read_text()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Return the root of a killed training, its config, and what lay there when it was dead."""
    root = tmp_path_factory.mktemp("killed")
    workspace = write_world(root)
    cfg = shrunk_config(f"trainer.max_epochs={EPOCHS}", "logger=csv")
    write_params(cfg, root)
    process = killed_after_the_first_checkpoint(root)
    assert process.returncode == -signal.SIGKILL, (root / "log").read_text()
    (last,) = root.glob("build/resume/*/0/last.ckpt")
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    assert not list(root.rglob("weights.safetensors"))
    return workspace, cfg, last, checkpoint


@pytest.fixture(scope="module")
def resumed(killed):
    """Return the root after the same training was started again, and what that printed."""
    workspace, cfg, *_ = killed
    with redirect_stdout(io.StringIO()) as printed:
        train.run(cfg, workspace)
    return workspace.root, printed.getvalue()


def test_a_checkpoint_is_plain_and_of_an_epochs_end(killed):
    _, _, _, checkpoint = killed
    assert checkpoint["epoch"] < EPOCHS - 1
    assert checkpoint["global_step"] == 2 * (checkpoint["epoch"] + 1)
    assert len(checkpoint["callbacks"]["History"]["rows"]) == checkpoint["epoch"] + 1
    assert set(checkpoint["callbacks"]["EmaWeights"]["ema"]) == {
        name.removeprefix("detector.") for name in checkpoint["state_dict"]
    }


def test_the_resumed_run_goes_on_from_the_checkpoint(killed, resumed):
    _, printed = resumed
    _, _, last, checkpoint = killed
    assert f"fold 0: resumes from {last}" in printed
    assert f"epoch {checkpoint['epoch'] + 1}/" not in printed  # not trained again
    assert f"epoch {EPOCHS}/{EPOCHS}" in printed


def test_resumed_equals_uninterrupted(resumed, trained):
    root, _ = resumed
    ours = load_file(root / "build/train/0/weights.safetensors")
    theirs = load_file(trained.root / "build/train/0/weights.safetensors")
    assert set(ours) == set(theirs)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-6, msg=name)
    places = (root, trained.root)
    tables = [pd.read_csv(place / "reports/history/0.csv").drop(columns="seconds") for place in places]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)


def test_nothing_is_left_to_resume(resumed):
    root, _ = resumed
    assert not list((root / "build/resume").iterdir())


HOLDER = "import sys, time\nfrom maskdet.training.resume import only_one_process\nfrom pathlib import Path\n" + (
    "with only_one_process(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
)


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path):
    folder = tmp_path / "resume/0"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], env={**os.environ, "PYTHONPATH": SRC}, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match=rf"found one in process {holder.pid}; .*kill {holder.pid}"):
            only_one_process(folder).__enter__()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with only_one_process(folder):  # the system let go of it with the process
        assert (folder / "pid").read_text() == str(os.getpid())


def test_an_error_lets_go_of_the_folder(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), only_one_process(tmp_path / "0"):
        raise RuntimeError("stop")
    with only_one_process(tmp_path / "0"):
        assert (tmp_path / "0/lock").exists()


def test_forget_leaves_other_folds_alone(tmp_path):
    for fold in ("0", "1"):
        (tmp_path / "key" / fold).mkdir(parents=True)
    forget(tmp_path / "key/0")
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["1"]
    forget(tmp_path / "key/1")
    assert not (tmp_path / "key").exists()


def test_the_key_changes_with_what_decides_the_weights_and_with_nothing_else(tmp_path):
    cfg, data = shrunk_config(), [tmp_path / f"{IMAGES.name}.parquet"]
    data[0].write_bytes(b"rows")
    key = run_key(cfg, GROUPS, SPEED_SETTINGS, data, CODE)
    assert len(key) == 16
    assert run_key(shrunk_config(), GROUPS, SPEED_SETTINGS, data, CODE) == key
    plain = OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))  # as read from params.yaml
    assert run_key(plain, GROUPS, SPEED_SETTINGS, data, CODE) == key
    for same in ("predict.batch_size=7", "report.num_images=1", "logger.kind=wandb", "trainer.num_workers=2"):
        assert run_key(shrunk_config(same), GROUPS, SPEED_SETTINGS, data, CODE) == key, same
    changed = [
        run_key(shrunk_config(other), GROUPS, SPEED_SETTINGS, data, CODE)
        for other in ("seed=1", "fold=1", "augment=strong", "model.loss.box_weight=1", "trainer.ema_decay=0.5")
    ]
    data[0].write_bytes(b"other rows")
    assert len({key, *changed, run_key(cfg, GROUPS, SPEED_SETTINGS, data, CODE)}) == 7
