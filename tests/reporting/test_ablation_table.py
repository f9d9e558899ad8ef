"""From run folders to the ranking of levers."""

import pandas as pd
import pytest

from maskdet.reporting.ablation_table import ablation_runs, main, markdown, ranked_levers

SIZES = {f"val/map_{size}": 0.1 for size in ("small", "medium", "large")}


def write_run(folder, overrides: list[str], aps: tuple[float, float]) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    (folder / "reports/history").mkdir(parents=True)
    row = {"val/map": 0.2, "val/map_50": 0.4} | SIZES
    for name, ap in zip(("with_mask", "without_mask"), aps, strict=True):
        row |= {f"val/ap/{name}": ap, f"val/ap_50/{name}": 2 * ap}
    pd.DataFrame([dict.fromkeys(row), row]).to_csv(folder / "reports/history/0.csv", index=False)


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "0", ["experiment=ablation", "+lever=none", "seed=0"], (0.2, 0.1))
    write_run(tmp_path / "1", ["experiment=ablation", "+lever=none", "seed=1"], (0.3, 0.2))
    write_run(tmp_path / "2", ["experiment=ablation", "+lever=giou", "seed=0"], (0.4, 0.4))
    (tmp_path / "unfinished/.hydra").mkdir(parents=True)
    (tmp_path / "unfinished/.hydra/overrides.yaml").write_text("- +lever=atss\n")
    return tmp_path


def test_levers_are_ranked_by_the_frequent_classes(folder):
    runs = ablation_runs([folder])
    assert runs[["lever", "seed"]].to_numpy().tolist() == [["giou", 0], ["none", 0], ["none", 1]]
    levers = ranked_levers(runs).set_index("lever")
    assert list(levers.index) == ["giou", "none"]
    assert levers.loc["none", ["num_seeds", "ap_frequent", "spread", "difference"]].tolist() == pytest.approx(
        [2, 0.2, 0.1, 0.0]
    )
    assert levers.loc["giou", "difference"] == pytest.approx(0.2)
    assert "| `giou` | 1 | 0.400 | +0.200 | 0.000 | 0.800 | 0.400 |" in markdown(ranked_levers(runs))


def test_the_command_writes_the_runs_and_prints_the_ranking(folder, tmp_path, capsys):
    main([str(folder), "--output", str(tmp_path / "table.csv")])
    assert len(pd.read_csv(tmp_path / "table.csv")) == 3
    assert capsys.readouterr().out.count("\n") == 4


def test_a_folder_without_runs_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path)])
    assert "expected folders of finished runs, got none" in capsys.readouterr().err
