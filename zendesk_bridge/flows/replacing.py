"""Files written and removed together: all of them, or, where one cannot be, none."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


def replace_all(contents: Mapping[Path, bytes | None]) -> None:
    """Writes files whole and removes others, in order; each changes in one moment.

    What can fail for want of room or of rights is done first, beside the files: until then nothing has changed. A link
    is replaced itself, not the file that it leads to.

    Args:
        contents: what each file has then; None where it is removed.

    Raises:
        OSError: one could not be changed; all are as they were.
    """
    written: dict[Path, Path] = {}
    kept: dict[Path, Path] = {}
    changed: list[Path] = []
    try:
        for path, content in contents.items():
            if os.path.lexists(path):
                kept[path] = _beside(path)
                _keep(path, kept[path])
            if content is not None:
                written[path] = _beside(path)
                _write(written[path], content, like=path)
        for path in contents:
            if path in written:
                written[path].replace(path)
            else:
                path.unlink(missing_ok=True)
            changed.append(path)
        _store({path.parent for path in contents})
    except BaseException:
        for path in reversed(changed):
            with suppress(OSError):
                if path in kept:
                    kept[path].replace(path)
                else:
                    path.unlink(missing_ok=True)
        raise
    finally:
        for left in (*written.values(), *kept.values()):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    # Such a name is no flow file's, should it be left behind by a process that was killed.
    return path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:12]}.tmp")


def _keep(path: Path, copy: Path) -> None:
    """A second name for what is there, so that bringing it back needs no room; or a copy, where there are no links."""
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(21, "Is a directory", str(path))
    try:
        os.link(path, copy, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, copy, follow_symlinks=False)


def _write(path: Path, content: bytes, like: Path) -> None:
    """Writes a new file that whoever read the old one can read too."""
    with path.open("xb") as file:
        with suppress(OSError):
            old = like.stat()
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            os.fchown(file.fileno(), old.st_uid, old.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _store(folders: Iterable[Path]) -> None:
    """Has the system store the names too, where it can."""
    for folder in folders:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
