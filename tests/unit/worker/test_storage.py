"""The lock on the data folder, and where SQLite may not live."""

import pytest

from orchestrator.worker import storage


def test_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    with (
        storage.exclusive(tmp_path),
        pytest.raises(storage.StorageError, match="Another `serve`"),
        storage.exclusive(tmp_path),
    ):
        pass

    with storage.exclusive(tmp_path):
        pass


def test_local_folder_is_accepted(tmp_path):
    storage.refuse_network_file_system(tmp_path)


def test_network_file_system_is_refused_by_name(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"23 22 0:40 / {tmp_path} rw - nfs4 server:/export rw\n"
    )
    monkeypatch.setattr(storage, "MOUNTS", mounts)

    with pytest.raises(storage.StorageError, match="nfs4"):
        storage.refuse_network_file_system(tmp_path / "data")
