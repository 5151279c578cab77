"""A folder that a sync client or the network owns is warned about, on each of the three systems; others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.system.cloud_folders import Mount, unsafe_folder

CASE = Path(__file__).resolve().parents[1] / "cases" / "63-cloud-folders" / "paths.txt"


@pytest.mark.parametrize("path", CASE.read_text(encoding="utf-8").splitlines())
def test_each_folder_that_went_unnoticed_is_warned_about(path: str) -> None:
    """Fault 32."""
    assert unsafe_folder(path, mounts=[])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"C:\Users\x\OneDrive - Firma GmbH\bot", "OneDrive"),
        (r"C:\Users\x\Nextcloud2\bot", "Nextcloud"),
        ("/Users/x/Yandex.Disk.localized/bot", "Yandex Disk"),
        ("/Volumes/GoogleDrive/Mo\u0301j dysk/bot", "Google Drive"),
        (r"G:\Můj disk\bot", "Google Drive"),
        (r"G:\내 드라이브\bot", "Google Drive"),
        (r"G:\Shared drives\Team\bot", "Google Drive"),
        (r"H:\My Drive (x@example.org)\bot", "Google Drive"),
        (r"C:\Users\x\WEB.DE Online-Speicher\bot", "WEB.DE"),
        (r"C:\Users\x\Dropbox (Personal)\bot", "Dropbox"),
        (r"D:\Nextcloud\bot", "Nextcloud"),
        (r"C:\Users\x\Sync\bot", "Sync.com"),
        (r"C:\Users\x\MEGA\bot", "MEGA"),
        (r"H:\Il mio Drive\bot", "Google Drive"),
        (r"C:\Users\x\SynologyDrive\bot", "Synology"),
        (r"\\?\C:\Users\x\pCloud Drive\bot", "pCloud"),
        ("/Users/x/Library/CloudStorage/GoogleDrive-ana@host.example/My Drive/bot", "cloud service"),
        ("/Users/x/Library/Mobile Documents/com~apple~CloudDocs/bot", "iCloud"),
        ("/home/x/Yandex.Disk/bot", "Yandex"),
        ("/home/x/Insync/ana@host.example/bot", "Insync"),
        ("/home/x/rclone/drive/bot", "rclone"),
        ("/home/x/Seafile/bot", "Seafile"),
        ("/home/x/Tresors/bot", "Tresorit"),
        (r"\\nas\share\bot", "network"),
        (r"\\?\UNC\nas\share\bot", "network"),
        ("//nas/share/bot", "network"),
        ("smb://nas/share/bot", "network"),
        (r"\\wsl$\Ubuntu\home\x\bot", "Linux inside Windows"),
        (r"\\wsl.localhost\Ubuntu\home\x\bot", "Linux inside Windows"),
        ("/mnt/c/Users/x/bot", "Windows seen from Linux"),
        ("/run/user/1000/gvfs/sftp:host=nas/bot", "network"),
        ("/home/x/.gvfs/share on nas/bot", "network"),
        ("/Volumes/nas/bot", "not part of this computer"),
    ],
)
def test_its_sisters_are_named(path: str, name: str) -> None:
    """Fault 32."""
    assert name in unsafe_folder(path, mounts=[])


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Users\x\bot",
        "/Users/x/Documents/my drive-by game/bot",
        r"D:\min diskussion\bot",
        r"C:\Users\x\Documents\discord bot",
        r"\\?\C:\bot",
        r"D:\games\box\bot",
        "/home/x/bot",
        "/home/x/projects/sync/bot",
        "/Users/x/megabot",
        "/Users/x/boxing/bot",
        "/srv/dropboxes/bot",
        "/mnt/data/bot",
        "/media/x/usb/bot",
        "/opt/mydrive/bot",
    ],
)
def test_a_folder_of_this_computer_is_not(path: str) -> None:
    assert unsafe_folder(path, mounts=[Mount("/", "ext4"), Mount("C:\\", "NTFS")]) == ""


@pytest.mark.parametrize(
    ("mount", "path"),
    [
        (Mount("/mnt/nas", "cifs"), "/mnt/nas/bot"),
        (Mount("/mnt/nas", "nfs4"), "/mnt/nas/bot"),
        (Mount("/home/x/remote", "fuse.sshfs"), "/home/x/remote/bot"),
        (Mount("/home/x/cloud", "fuse.rclone"), "/home/x/cloud/bot"),
        (Mount("/mnt/d", "9p"), "/mnt/d/bot"),
        (Mount("/media/sf_shared", "vboxsf"), "/media/sf_shared/bot"),
        (Mount("/Volumes/nas", "smbfs"), "/Volumes/nas/bot"),
        (Mount("Z:\\", "remote"), r"Z:\bot"),
    ],
)
def test_the_systems_table_of_mounts_tells_where_the_path_does_not(mount: Mount, path: str) -> None:
    """Fault 32."""
    assert "network drive" in unsafe_folder(path, mounts=[Mount("/", "ext4"), Mount("C:\\", "NTFS"), mount])


def test_a_disk_plugged_into_a_mac_is_its_own() -> None:
    assert unsafe_folder("/Volumes/USB/bot", mounts=[Mount("/", "apfs"), Mount("/Volumes/USB", "apfs")]) == ""


@pytest.mark.parametrize("mark", [".stfolder", ".dropbox", ".sync_journal.db", ".SynologyWorkingDirectory"])
def test_the_mark_a_client_leaves_in_a_folder_is_seen_from_below(tmp_path: Path, mark: str) -> None:
    """Fault 32: a synchronised folder may have any name."""
    (tmp_path / mark).touch()
    assert "synchronised by" in unsafe_folder(str(tmp_path / "deep" / "bot"))
    assert unsafe_folder(str(tmp_path.parent / "beside" / "bot")) == ""


def test_documents_that_macos_keeps_in_icloud_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 157: the path says nothing of it."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    workspace = str(tmp_path / "Documents" / "bot")
    assert not unsafe_folder(workspace, mounts=[])
    (tmp_path / "Library" / "Mobile Documents" / "com~apple~CloudDocs" / "Documents").mkdir(parents=True)
    assert "iCloud" in unsafe_folder(workspace, mounts=[])
    assert not unsafe_folder(str(tmp_path / "bot"), mounts=[])
