"""The folder of flow files: what is to come into it is checked and compared first, then written all at once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from zendesk_bridge.flows.catalog import Catalog
from zendesk_bridge.flows.document import FILE_LIMIT
from zendesk_bridge.flows.errors import ConnectorError, NotFound
from zendesk_bridge.flows.files import read_file
from zendesk_bridge.flows.library import RECIPE, doubled, flow_paths, read_all
from zendesk_bridge.flows.model import Problem
from zendesk_bridge.flows.replacing import replace_all
from zendesk_bridge.flows.versions import Current, unified
from zendesk_bridge.rehearsal import SUFFIX, parse_cases


class State(StrEnum):
    """What becomes of a file, or of a flow, in one word."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds, byte for byte."""

    file: str
    data: bytes


@dataclass(kw_only=True)
class Given:
    """Flow files and their tests, read and checked."""

    # Those that are right, by the flow's key.
    flows: dict[str, Content] = field(default_factory=dict)
    tests: dict[str, Content] = field(default_factory=dict)
    # The keys of all files, the wrong ones' too.
    keys: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one file in the folder."""

    # The flow's.
    key: str
    # Where it comes from; the file itself where it is removed.
    file: str
    target: Path
    state: State
    # None where it is removed.
    data: bytes | None
    is_test: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a folder becomes. Nothing is done where there are problems."""

    folder: Path
    changes: list[Change]
    problems: list[Problem]

    @property
    def differing(self) -> list[Path]:
        """Files that would be written over."""
        return [each.target for each in self.changes if each.state is State.CHANGED]

    def carry_out(self) -> bool:
        """Changes the files, all or none; whether the folder was made for them. Raises ConnectorError."""
        contents = {each.target: each.data for each in self.changes if each.state is not State.UNCHANGED}
        made = any(data is not None for data in contents.values()) and not self.folder.exists()
        try:
            if made:
                self.folder.mkdir(parents=True)
            replace_all(contents)
        except OSError as problem:
            if made:  # an empty folder would say that every file is gone
                with suppress(OSError):
                    self.folder.rmdir()
            raise ConnectorError(
                "not_written",
                f"{self.folder} cannot be written: {problem.strerror}. Nothing was changed",
                hint="Check the permissions of the folder, and the free space.",
            ) from problem
        return made


class FlowFiles:
    """The folder of flow files, and what goes into it and out of it."""

    def __init__(self, catalog: Catalog, recipes: Mapping[str, str], folder: Path) -> None:
        """
        Args:
            folder: where flow files are; it may not be there yet.
        """
        self._catalog = catalog
        self._recipes = recipes
        self.folder = folder

    def is_folder(self, folder: Path) -> bool:
        """Whether somebody names the folder of flow files itself."""
        try:
            return folder.samefile(self.folder)
        except OSError:
            return False

    def is_at(self, place: str) -> bool:
        """Whether the folder is, or will be made, in this place."""
        return Path(place).resolve() == self.folder.resolve()

    def take_in(self, paths: Sequence[Path]) -> Plan:
        """What the folder becomes with these files, and those in these folders, in it. Raises ConnectorError."""
        given = self._read(paths)
        if not given.keys and not given.problems and not given.tests:
            raise _no_flows(paths[0], "There is nothing to import")
        return self._plan(self.folder, given, mirror=False)

    def mirror(self, folder: Path, *, empty: bool) -> Plan:
        """What the folder becomes if it is made equal to another. Raises ConnectorError.

        Args:
            empty: whether the other one may have no flow file.
        """
        return self._plan(self.folder, self._read_whole(folder, empty=empty), mirror=True)

    def put_out(self, texts: Mapping[str, str], folder: Path) -> Plan:
        """What another folder becomes with these texts of flows, and the tests that lie beside theirs, in it."""
        flows = {key: Content(file=key, data=text.encode()) for key, text in texts.items()}
        tests = {}
        for key in texts:
            path = self.folder / f"{key}{SUFFIX}"
            with suppress(OSError):
                tests[key] = Content(file=str(path), data=path.read_bytes())
        return self._plan(folder, Given(flows=flows, tests=tests, keys=set(flows)), mirror=False)

    def compare(self, folder: Path | None, current: Mapping[str, Current], *, empty: bool) -> dict[str, Any]:
        """What making the folder equal to another would do to the flows. Changes nothing. Raises ConnectorError.

        Args:
            folder: the other one; None for the folder of flow files itself.
            current: what the database has.
            empty: whether the folder may have no flow file.

        Returns:
            `{flows: [{key, file, state, diff}], problems}`; `diff` is unified, and empty where nothing is changed.
        """
        given = self._read_whole(folder or self.folder, empty=empty or folder is None)
        flows = []
        for key, content in given.flows.items():
            before, text, state, diff = current.get(key), content.data.decode(), State.NEW, ""
            if before is not None and before.version:
                state = State.UNCHANGED if before.text == text else State.CHANGED
                diff = unified(before.text, text, f"{key} (version {before.version})", content.file)
            flows.append({"key": key, "file": content.file, "state": state, "diff": diff})
        for key, before in current.items():
            if key not in given.keys and before.source != RECIPE:
                flows.append({"key": key, "file": before.source, "state": State.REMOVED, "diff": ""})
        return {
            "flows": sorted(flows, key=lambda each: each["key"]),
            "problems": [each.as_json() for each in given.problems],
        }

    def of(self, key: str) -> tuple[list[Path], Path | None]:
        """The files of a flow in the folder, more than one where they have one key; and its tests."""
        tests = self.folder / f"{key}{SUFFIX}"
        return self._there(self.folder).get(key, []), tests if tests.is_file() else None

    def remove(self, paths: Iterable[Path]) -> None:
        """Removes files of the folder, all or none. Raises ConnectorError."""
        changes = [Change(key="", file=str(path), target=path, state=State.REMOVED, data=None) for path in paths]
        Plan(folder=self.folder, changes=changes, problems=[]).carry_out()

    def has_recipe(self, key: str) -> bool:
        """Whether a recipe has this key."""
        return key in read_all(self._recipes, None, self._catalog)[0]

    # Reading

    def _read_whole(self, folder: Path, *, empty: bool) -> Given:
        if not os.path.isdir(folder):
            raise NotFound("no_folder", f"There is no folder {folder}", hint="Name the folder of the flow files.")
        given = self._read([folder], every_test=True)
        if not given.keys and not given.problems and not empty:
            raise _no_flows(
                folder, "Every flow that has a file would be switched off", " --force does so all the same."
            )
        return given

    def _read(self, paths: Sequence[Path], *, every_test: bool = False) -> Given:
        """Reads what was named.

        Args:
            every_test: whether of a folder also those tests count that have no flow file beside them.
        """
        given = Given()
        files: dict[Path, Path] = {}
        tests: dict[Path, Path] = {}
        try:
            for path in paths:
                for found in self._named(path, given, every_test=every_test):
                    (tests if found.name.endswith(SUFFIX) else files).setdefault(found.resolve(), found)
        except OSError as problem:
            where = problem.filename or paths[0]
            raise ConnectorError("unreadable", f"{where} cannot be read: {problem.strerror}") from problem
        by_key: dict[str, list[Path]] = defaultdict(list)
        for path in files.values():
            file = read_file(path, self._catalog)
            given.problems += file.problems
            by_key[file.key or path.stem].append(path)
            if file.flow is not None and file.key is not None:
                given.flows[file.key] = Content(file=str(path), data=file.text.encode())
                beside = path.with_name(f"{file.key}{SUFFIX}")
                if beside.is_file() and not _leads_out(beside, path.parent):
                    tests.setdefault(beside.resolve(), beside)
        given.keys = set(by_key)
        for key, doubles in by_key.items():
            if len(doubles) > 1:
                given.problems += doubled(key, [str(path) for path in doubles])
        for path in tests.values():
            self._read_tests(path, given)
        return given

    def _named(self, path: Path, given: Given, *, every_test: bool) -> Iterator[Path]:
        """The files that a path means: itself, or those of a folder."""
        if not path.is_dir():
            if not path.is_file():
                raise NotFound("no_file", f"There is no file or folder {path}")
            yield path
            return
        found = flow_paths(path)
        if every_test:
            found += sorted(each for each in path.glob(f"*{SUFFIX}") if each.is_file())
        for each in found:
            # What a folder has from others may lead anywhere on this machine; what a person set up here may too.
            if _leads_out(each, path) and not self.is_folder(path):
                message = f"it is a link that leads out of {path}"
                suggestion = "put the file itself there"
                problem = Problem(file=str(each), line=1, code="link", message=message, suggestion=suggestion)
                given.problems.append(problem)
            else:
                yield each

    def _read_tests(self, path: Path, given: Given) -> None:
        key = path.name.removesuffix(SUFFIX)
        try:
            if path.stat().st_size > 4 * FILE_LIMIT:
                raise ValueError(f"it has more than {FILE_LIMIT // 1024} KiB")
            data = path.read_bytes()
            wrong = parse_cases(data.decode().replace("\r\n", "\n"), str(path))
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            if isinstance(problem, UnicodeDecodeError):
                reason = "it is not in UTF-8; save it with that encoding"
            message = f"the file cannot be read: {reason}"
            given.problems.append(Problem(file=str(path), line=1, code="unreadable", message=message))
            return
        if isinstance(wrong, Problem):
            given.problems.append(wrong)
        elif key in given.tests:
            given.problems += doubled(key, [given.tests[key].file, str(path)])
        else:
            given.tests[key] = Content(file=str(path), data=data)

    def _there(self, folder: Path) -> dict[str, list[Path]]:
        """The flow files of a folder by key. Raises ConnectorError."""
        by_key: dict[str, list[Path]] = defaultdict(list)
        try:
            for path in flow_paths(folder if folder.exists() else None):
                by_key[read_file(path, self._catalog).key or path.stem].append(path)
        except OSError as problem:
            raise ConnectorError("unreadable", f"{folder} cannot be read: {problem.strerror}") from problem
        return by_key

    # Planning

    def _plan(self, folder: Path, given: Given, *, mirror: bool) -> Plan:
        """What a folder becomes.

        Args:
            mirror: whether what was not given is removed.
        """
        problems = list(given.problems)
        there = self._there(folder)
        leaving = [(key, path) for key, paths in there.items() for path in paths if mirror and key not in given.keys]
        changes = []
        for key, content in given.flows.items():
            target = _target(folder, key, there.get(key, []))
            others = [path for path in there.get(key, []) if path != target]
            if others and not mirror:
                problems += doubled(key, [str(path) for path in (target, *others)])
            leaving += [(key, path) for path in others]
            if target not in there.get(key, []) and _is_taken(target, but_by=[path for _, path in leaving]):
                problems.append(_taken(content.file, target))
            changes.append(_change(key, content, target))
        for key, content in given.tests.items():
            target = folder / f"{key}{SUFFIX}"
            if os.path.lexists(target) and not target.is_file():
                problems.append(_taken(content.file, target))
            changes.append(_change(key, content, target, is_test=True))
        changes.sort(key=lambda each: (each.key, each.is_test))
        removed = [_removal(key, path) for key, path in leaving]
        if mirror and folder.is_dir():
            tests = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
            kept = {each.target for each in changes}
            removed += [_removal(path.name.removesuffix(SUFFIX), path) for path in tests if path not in kept]
        # First: a file's name may be another's before, also where large letters are small ones.
        return Plan(folder=folder, changes=[*removed, *changes], problems=problems)


def _target(folder: Path, key: str, there: Sequence[Path]) -> Path:
    """Where a flow's file goes: in the place of the file that has its key already."""
    named = folder / f"{key}.yml"
    return named if named in there or not there else there[0]


def _is_taken(target: Path, but_by: Iterable[Path]) -> bool:
    """Whether something else has a file's name, that stays there."""
    if not os.path.lexists(target):
        return False
    for each in but_by:
        with suppress(OSError):
            if each == target or each.samefile(target):
                return False
    return True


def _taken(file: str, target: Path) -> Problem:
    message = f"its place {target} is taken by something else"
    return Problem(file=file, line=1, code="name_taken", message=message, suggestion=f"rename {target}")


def _change(key: str, content: Content, target: Path, *, is_test: bool = False) -> Change:
    state = State.NEW
    if os.path.lexists(target):
        state = State.UNCHANGED if _holds(target, content.data) else State.CHANGED
    return Change(key=key, file=content.file, target=target, state=state, data=content.data, is_test=is_test)


def _removal(key: str, path: Path) -> Change:
    is_test = path.name.endswith(SUFFIX)
    return Change(key=key, file=str(path), target=path, state=State.REMOVED, data=None, is_test=is_test)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _leads_out(path: Path, folder: Path) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _no_flows(folder: Path, so: str, more: str = "") -> ConnectorError:
    hint = "Name the folder that has them."
    with suppress(OSError):
        inner = next((each for each in sorted(folder.iterdir()) if each.is_dir() and flow_paths(each)), None)
        if inner is not None:
            hint = f"There are some in {inner}: name that folder."
    return ConnectorError("no_flows", f"{folder} has no flow file. {so}", hint=hint + more)
