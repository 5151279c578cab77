"""Folders no database should lie in: those sync clients rewrite behind a program's back, and those of other computers.

By the path where it tells, by the marks sync clients leave in their folders, and by the system's table of mounts.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Names of folders, in lower case, as the clients make them on Windows, macOS and Linux; a blank, hyphen, bracket or
# underscore and an account's name may follow. One list: name of the service -> its folders.
SYNC_CLIENTS: Mapping[str, tuple[str, ...]] = {
    "OneDrive": ("onedrive", "skydrive"),
    "SharePoint": ("sharepoint",),
    "Dropbox": ("dropbox",),
    "Google Drive": ("google drive", "googledrive", "google-drive", "drivefs"),
    "iCloud": ("icloud", "icloud drive", "iclouddrive", "mobile documents", "com~apple~clouddocs"),
    "MEGA": ("megasync", "mega cloud drive"),
    "Box": ("box sync", "box-box"),
    "Proton Drive": ("proton drive", "protondrive"),
    "pCloud": ("pcloud", "pcloud drive", "pclouddrive"),
    "Nextcloud": ("nextcloud",),
    "ownCloud": ("owncloud",),
    "Synology Drive": ("synologydrive", "synology drive", "cloudstation"),
    "Seafile": ("seafile", "seadrive"),
    "Syncthing": ("syncthing",),
    "Resilio Sync": ("resilio sync", "resilio", "btsync"),
    "Tresorit": ("tresorit", "tresorit drive", "tresors"),
    "SpiderOak": ("spideroak", "spideroak hive"),
    "Yandex Disk": ("yandex.disk", "yandexdisk", "yandex disk", "яндекс.диск"),
    "Cloud Mail.ru": ("облако mail.ru", "cloud mail.ru"),
    "HiDrive": ("hidrive", "strato hidrive"),
    "MagentaCLOUD": ("magentacloud",),
    "Jottacloud": ("jottacloud",),
    "Icedrive": ("icedrive",),
    "Internxt": ("internxt", "internxt drive"),
    "kDrive": ("kdrive",),
    "TeamDrive": ("teamdrive", "teamdrive spaces"),
    "leitzcloud": ("leitzcloud", "luckycloud"),
    "GMX or WEB.DE": ("gmx cloud", "gmx mediacenter", "web.de online-speicher", "web.de cloud"),
    "IONOS": ("ionos hidrive", "1&1 online-speicher", "ionos online-speicher"),
    "Baidu": ("baidusyncdisk", "baidunetdisk", "百度云同步盘", "百度网盘同步空间"),
    "Aliyun Drive": ("aliyundrive", "阿里云盘"),
    "MYBOX": ("naver mybox", "ndrive"),
    "Livedrive": ("livedrive",),
    "Degoo": ("degoo",),
    "4Sync": ("4sync",),
    "MediaFire": ("mediafire",),
    "Amazon Drive": ("amazon drive", "amazon cloud drive"),
    "Creative Cloud": ("creative cloud files",),
    "SugarSync": ("sugarsync", "magic briefcase"),
    "Egnyte": ("egnyte", "egnyte drive", "egnyteconnect"),
    "ShareFile": ("sharefile", "citrix files"),
    "Zoho WorkDrive": ("workdrive", "zoho workdrive"),
    "Nutstore": ("nutstore", "坚果云", "我的坚果云"),
    "Insync": ("insync",),
    "odrive": ("odrive",),
    "IDrive": ("idrive-sync", "cloud-drive"),
    "rclone": ("rclone",),
    "Mountain Duck": ("mountain duck", "mountainduck"),
    "a cloud service": ("cloudstorage",),  # ~/Library/CloudStorage: macOS keeps all of them there
}
# Google Drive's own folder, as its client calls it in each language: ordinary words, so only in full.
_MY_DRIVE = frozenset(
    (
        *(
            "my drive",
            "meine ablage",
            "mein drive",
            "mon drive",
            "mi unidad",
            "mi drive",
            "el meu drive",
            "il mio drive",
        ),
        *("meu drive", "o meu disco", "a minha unidade", "mijn drive", "mój dysk", "můj disk", "môj disk", "moj disk"),
        *(
            "moj pogon",
            "min enhet",
            "min disk",
            "mit drev",
            "oma drive",
            "saját meghajtó",
            "unitatea mea",
            "disc-ul meu",
        ),
        *(
            "drive'ım",
            "το drive μου",
            "мой диск",
            "мій диск",
            "моят диск",
            "マイドライブ",
            "내 드라이브",
            "我的云端硬盘",
        ),
        *("我的雲端硬碟", "drive của tôi", "drive saya", "ไดรฟ์ของฉัน", "האחסון שלי", "ملفاتي", "मेरी ड्राइव"),
        *("shared drives", "geteilte ablagen", "drive partagés", "unidades compartidas", "drive condivisi"),
        *("drives compartilhados", "gedeelde drives"),
    )
)
# Ordinary words: a client's folder only right below a person's own.
_BELOW_HOME: Mapping[str, str] = {
    "box": "Box",
    "mega": "MEGA",
    "sync": "Sync.com or Syncthing",
    "filen": "Filen",
    "koofr": "Koofr",
    "drive": "a cloud drive",
}
# What clients leave in the folders they keep in step.
_MARKS: Mapping[str, str] = {
    ".stfolder": "Syncthing",
    ".dropbox": "Dropbox",
    ".dropbox.cache": "Dropbox",
    ".sync_journal.db": "Nextcloud or ownCloud",
    ".nextcloudsync.log": "Nextcloud",
    ".owncloudsync.log": "ownCloud",
    ".SynologyWorkingDirectory": "Synology Drive",
    ".tmp.drivedownload": "Google Drive",
    ".tmp.driveupload": "Google Drive",
    ".debris": "MEGA",
    ".seafile-data": "Seafile",
    ".rslsync": "Resilio Sync",
}
_NETWORK_TYPES = re.compile(
    r"(?:nfs\d?|cifs|smb\d?|smbfs|smb3|afpfs|webdav|davfs|9p|drvfs|ncpfs|afs|ceph|glusterfs|lustre|beegfs|vboxsf|prl_fs|vmhgfs"
    r"|fuse\.(?:sshfs|rclone|gvfsd-fuse|s3fs|davfs\d?|google-drive-ocamlfuse|onedriver|glusterfs|vmhgfs-fuse|curlftpfs|smbnetfs"
    r"|kio-fuse|juicefs|gcsfuse|pcloud|mega.*)|macfuse.*|osxfuse.*)\Z",
    re.IGNORECASE,
)
# What may follow a client's name in its folder: an account, or the number of a second one.
_OF_AN_ACCOUNT = re.compile(r"\Z|[ _(@\[–-]|\d{1,2}\Z|\.localized\Z")
_HOME = re.compile(r"(?:^|/)(?:users|home|benutzer)/[^/]+/(?P<first>[^/]+)")
_NETWORK = "file locks do not hold there, and the database may be damaged."


@dataclass(frozen=True, slots=True)
class Mount:
    """A part of the file tree. kind: the file system's name, or "remote" for a drive letter of the network."""

    point: str
    kind: str


def unsafe_folder(path: str, *, mounts: Iterable[Mount] | None = None) -> str:
    """Why a workspace should not lie at `path` (a cloud or network folder), '' when nothing speaks against it.

    mounts: the system's own table, when None.
    """
    plain = _plain(path)
    return _by_network_path(plain) or _by_name(plain) or _by_icloud(path) or _by_marks(path) or _by_mount(plain, mounts)


def _plain(path: str) -> str:
    r"""With forward slashes and in lower case, without Windows' \\?\ in front of long paths."""
    plain = unicodedata.normalize("NFC", path).replace("\\", "/").lower()  # macOS stores letters and accents apart
    for start, instead in (("//?/unc/", "//"), ("//?/", ""), ("//./", "")):
        if plain.startswith(start):
            return instead + plain.removeprefix(start)
    return plain


def _by_network_path(plain: str) -> str:
    if plain.startswith(("//wsl$/", "//wsl.localhost/")):
        return f"This folder is Linux inside Windows: {_NETWORK} Start the program there, or use a folder on C:."
    if re.match(r"/mnt/[a-z]/", plain) and (re.match(r"/mnt/[a-z]/users/", plain) or _is_windows_subsystem()):
        return f"This is a folder of Windows seen from Linux: {_NETWORK} Use a folder below your home in Linux."
    if plain.startswith("//") or re.match(r"[a-z][a-z0-9+.-]{1,20}://", plain):
        return f"This is a network folder: {_NETWORK}"
    if (
        re.match(r"/run/user/\d+/(?:gvfs|kio-fuse)", plain)
        or "/.gvfs/" in plain
        or re.match(r"/(?:net|afs|nfs)/", plain)
    ):
        return f"This is a network folder: {_NETWORK}"
    return ""


def _by_name(plain: str) -> str:
    for part in plain.split("/"):
        for service, folders in SYNC_CLIENTS.items():
            if any(part.startswith(name) and _OF_AN_ACCOUNT.match(part, len(name)) for name in folders):
                return _synchronised(service)
        if re.sub(r" \([^()]*\)$", "", part) in _MY_DRIVE:
            return _synchronised("Google Drive")
    home = _HOME.search(plain)
    service_below_home = _BELOW_HOME.get(home["first"]) if home else None
    if service_below_home:
        return _synchronised(service_below_home)
    for variable in ("OneDrive", "OneDriveConsumer", "OneDriveCommercial"):
        folder = _plain(os.environ.get(variable, "")).rstrip("/")
        if folder and (plain == folder or plain.startswith(f"{folder}/")):
            return _synchronised("OneDrive")
    return ""


def _synchronised(service: str) -> str:
    return f"This folder is synchronised by {service}, which may damage the database while the bot writes."


def _by_icloud(path: str) -> str:
    """macOS can keep Desktop and Documents in iCloud: they stay where they are, and appear in iCloud's folder too."""
    home = Path.home()
    for name in ("Desktop", "Documents"):
        is_below = Path(path).is_relative_to(home / name)
        if is_below and os.path.lexists(home / "Library" / "Mobile Documents" / "com~apple~CloudDocs" / name):
            return _synchronised("iCloud")
    return ""


def _by_marks(path: str) -> str:
    folder = Path(path)
    if not folder.is_absolute():
        return ""
    for each in (folder, *folder.parents):
        if each in (Path.home(), Path(each.anchor)):
            break  # a client keeps its settings in the home folder under the same names
        for mark, service in _MARKS.items():
            if os.path.lexists(each / mark):
                return _synchronised(service)
    return ""


def _by_mount(plain: str, mounts: Iterable[Mount] | None) -> str:
    known = list(_mounts() if mounts is None else mounts)
    holding = [mount for mount in known if _holds(_plain(mount.point).rstrip("/"), plain)]
    nearest = max(holding, key=lambda mount: len(mount.point), default=None)
    if nearest is not None and (nearest.kind == "remote" or _NETWORK_TYPES.match(nearest.kind)):
        return f"This folder is on a network drive or a shared one ({nearest.kind}): {_NETWORK}"
    volume = re.match(r"/volumes/[^/]+", plain)
    if volume and (nearest is None or not _plain(nearest.point).startswith("/volumes/")):
        # No local disk is mounted there: a network drive that is away at the moment, or a path from another computer.
        return f"This folder is on a drive that is not part of this computer: {_NETWORK}"
    return ""


def _holds(point: str, plain: str) -> bool:
    return plain == point or plain.startswith(f"{point}/")


def _mounts() -> list[Mount]:
    import psutil

    try:
        partitions = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return []  # then the path alone has to tell
    return [
        Mount(part.mountpoint, "remote" if "remote" in part.opts.split(",") else part.fstype) for part in partitions
    ]


def _is_windows_subsystem() -> bool:
    return "microsoft" in os.uname().release.lower() if hasattr(os, "uname") else False
