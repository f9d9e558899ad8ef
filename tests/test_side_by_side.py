"""Tests that share what takes long to make are one group, and groups are named as they are."""

from side_by_side import EXPORTED, LONG, ROOT, SHARED_FOLDERS, group_of, turn_of


def test_users_of_an_exported_model_run_together_wherever_they_stand():
    users = ("tests/app/test_page.py", "tests/models/export/test_precisions.py", "tests/test_cli.py")
    assert {group_of(f"{user}::test_it[1]") for user in users} == {EXPORTED}


def test_a_folder_with_fixtures_of_the_session_is_one_group_and_any_other_file_its_own():
    assert group_of("tests/training/test_fit.py::test_a[b/c]") == group_of("tests/training/test_module.py::test_b")
    assert group_of("tests/test_boxes.py::test_it") == "tests/test_boxes.py"
    assert group_of("src/maskdet/boxes.py::maskdet.boxes.box_iou") == "src/maskdet/boxes.py"


def test_long_groups_come_first():
    assert all((ROOT / group).exists() for group in {*LONG, *SHARED_FOLDERS} - {EXPORTED})
    turns = [
        turn_of(f"{name}::t")
        for name in (LONG[0], "tests/test_cli.py", "tests/training/test_fit.py", "tests/test_nms.py")
    ]
    assert turns == sorted(turns)
