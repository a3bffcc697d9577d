"""The way a run took through its flow, drawn as a tree: which case, which passes, what was done about an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bolt_app.commands import display, terminal
from bolt_app.commands.values import as_read, in_a_line, is_empty, lines_of, present
from bolt_app.views.words import took
from zendesk_bridge.flows.model import passes_of, place_of_pass
from zendesk_bridge.flows.outline import Outline, Way

if TYPE_CHECKING:
    from rich.console import Console

Step = Mapping[str, Any]

#: Passes of a loop that are shown in any case, and most of those that failed or wait.
FIRST_PASSES = 3
ODD_PASSES = 10
#: A loop with no more passes than this is shown whole.
FEW_PASSES = 5
#: What is shown of a long value, in lines and characters.
LONGEST = (24, 1_500)
#: Runs of which people ask what was not done.
UNFINISHED = ("failed", "cancelled", "waiting")

#: Outputs that the drawing itself tells.
_TOLD = {"branch": "case", "loop": "items"}
_ODD = ("failed", "waiting", "running")


@dataclass(kw_only=True)
class Place:
    """One place in the drawing: a line, what stands under it, and what hangs from it."""

    # Words and their styles.
    head: list[tuple[str, str]]
    # The same, a line each.
    details: list[list[tuple[str, str]]] = field(default_factory=list)
    children: list[Place] = field(default_factory=list)


def show(run: Mapping[str, Any], outline: Sequence[Outline], *, everything: bool = False) -> None:
    """Prints a run with its steps.

    Args:
        run: as `runs show --json` has it.
        outline: the steps of the run's version of its flow; where there are none, the steps are shown one by one.
        everything: every pass of a loop, and long texts whole.
    """
    display.run_begin(run)
    path = Path(run, outline, everything)
    for line in path.trigger():
        _print(terminal.open_console(), line, "    ", "      ")
    _draw(path.tree())
    if path.left_out:
        terminal.say(f"Not reached: {', '.join(path.left_out)}", "dim")
    display.run_end(run)
    if path.shortened:
        terminal.say("Shortened: `runs show --all` and `--json` have all of it.", "dim")


class Path:
    """Puts a run's steps where they stand in the flow."""

    def __init__(self, run: Mapping[str, Any], outline: Sequence[Outline], everything: bool) -> None:
        self._run = run
        self._outline = outline
        self._everything = everything
        # By what their keys begin with, not by position: passes may run at the same time.
        self._steps: dict[str, list[Step]] = {}
        # Of each loop, by its key in the history: its passes, by their numbers.
        self._passes: dict[str, dict[int, list[Step]]] = {}
        for step in run["steps"]:
            self._steps.setdefault(step["key"], []).append(step)
            for loop, number in passes_of(step["key"]):
                self._passes.setdefault(loop, {}).setdefault(number, []).append(step)
        self._used: set[str] = set()
        # What was shown last of each step: in loops only what is new is shown again.
        self._before: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {}
        #: Steps that were not reached.
        self.left_out: list[str] = []
        #: Whether something is not shown whole.
        self.shortened = False

    def trigger(self) -> Iterator[list[tuple[str, str]]]:
        """What the run started from, in lines."""
        for name, value in present(self._run["trigger"]):
            yield from self._value(f"trigger {name}", value)

    def tree(self) -> list[Place]:
        """What is drawn."""
        found = self._level(self._outline, "")
        # Whatever the flow does not know of is shown all the same.
        others = [step for key, steps in self._steps.items() if key not in self._used for step in steps]
        return found + [self._step(step, step["key"]) for step in others]

    def _level(self, outline: Sequence[Outline], place: str) -> list[Place]:
        """The steps of a list that were reached.

        Args:
            place: what stands before their keys in the history.
        """
        found = []
        for node in outline:
            key = place + node.key
            steps = self._steps.get(key, [])
            self._used.add(key)
            if not steps and self._run["status"] in UNFINISHED:
                self.left_out.append(key)
            drawn = [self._step(step, node.key, told=_TOLD.get(node.action, "")) for step in steps]
            if drawn:
                self._inside(drawn[-1], node, steps[-1], place)
            found += drawn
        return found

    def _inside(self, drawn: Place, node: Outline, step: Step, place: str) -> None:
        """What hangs from a step."""
        if node.action == "branch" and "case" in step["outputs"]:
            self._branch(drawn, node, str(step["outputs"]["case"]), place)
        elif node.action == "loop" and "items" in step["outputs"]:
            self._loop(drawn, node, step, place)
        elif node.ways and step["outputs"].keys() == {"error"}:
            for way in node.ways:
                children = self._level(way.steps, place)
                drawn.children.append(Place(head=[("because it failed", "dim")], children=children))

    def _branch(self, drawn: Place, node: Outline, case: str, place: str) -> None:
        cases = [way for way in node.ways if way.name != "else"]
        way = next((way for way in node.ways if way.name == case), None)
        said = f"case {case} of {len(cases)}" if case != "else" else "else" if way and way.steps else "no case holds"
        # That it succeeded says only that a way was chosen.
        drawn.head[-2:] = [(terminal.clean(said), "")]
        drawn.children = self._level(way.steps, place) if way else []
        others = [_way_in_words(each) for each in node.ways if each is not way and each.steps]
        if others:
            drawn.children.append(Place(head=[(f"not taken: {in_a_line(', '.join(others), 200)}", "dim")]))

    def _loop(self, drawn: Place, node: Outline, step: Step, place: str) -> None:
        key, items = place + node.key, step["outputs"]["items"]
        passes = dict(sorted(self._passes.get(key, {}).items()))
        ends = [each["finished_at"] for steps in passes.values() for each in steps]
        whole = took(step["started_at"], max(ends)) if ends and all(ends) else ""
        status = _status([each for steps in passes.values() for each in steps])
        word = "" if status == "succeeded" else f", {status}"
        colour = terminal.COLOURS.get(status, "")
        count = _count(len(items), "pass", "passes")
        drawn.head = [("● ", colour), *drawn.head[1:-2], (count, ""), (word, colour), (f"  {whole}", "dim")]
        shown = self._shown_passes(passes)
        folded: list[int] = []
        for number, steps in passes.items():
            if number not in shown:
                folded.append(number)
                self._used |= {each["key"] for each in steps}
                continue
            drawn.children += self._folded(folded, passes)
            folded = []
            item = items[number - 1] if number <= len(items) else None
            drawn.children.append(self._pass(node, place_of_pass(key, number), number, item, steps))
        drawn.children += self._folded(folded, passes)
        missing = len(items) - len(passes)
        if missing > 0 and self._run["status"] in UNFINISHED:
            drawn.children.append(Place(head=[(f"{_count(missing, 'pass', 'passes')} not reached", "dim")]))

    def _pass(self, node: Outline, place: str, number: int, item: Any, steps: Sequence[Step]) -> Place:
        status, ends = _status(steps), [step["finished_at"] for step in steps]
        time = took(min(step["started_at"] for step in steps), max(ends)) if all(ends) else ""
        head = [(f"pass {number}", "bold"), (f": {in_a_line(item)}  ", ""), (status, terminal.COLOURS.get(status, ""))]
        return Place(head=[*head, (f"  {time}", "dim")], children=self._level(node.ways[0].steps, place))

    def _shown_passes(self, passes: Mapping[int, Sequence[Step]]) -> set[int]:
        if self._everything or len(passes) <= FEW_PASSES:
            return set(passes)
        odd = [number for number, steps in passes.items() if any(_is_odd(step) for step in steps)]
        return {*list(passes)[:FIRST_PASSES], *odd[:ODD_PASSES]}

    def _folded(self, numbers: Sequence[int], passes: Mapping[int, Sequence[Step]]) -> list[Place]:
        """Passes that are not shown, in a line."""
        if not numbers:
            return []
        self.shortened = True
        statuses = [_status(passes[number]) for number in numbers]
        if len(set(statuses)) == 1:
            counts = statuses[0]
        else:
            counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
        which = f"pass {numbers[0]}" if len(numbers) == 1 else f"passes {numbers[0]} to {numbers[-1]}"
        return [Place(head=[(f"{which}: {counts}", "dim")])]

    def _step(self, step: Step, name: str, told: str = "") -> Place:
        """One step.

        Args:
            told: an output that is told otherwise.
        """
        inputs, outputs = as_read(step)
        outputs.pop(told, None)
        before = self._before.get(name)
        self._before[name] = (inputs, outputs, step["error"])
        details: list[list[tuple[str, str]]] = []
        for title, values, last in (("in", inputs, before and before[0]), ("out", outputs, before and before[1])):
            for each, value in self._changed(values, last):
                details += self._value(f"{title} {each}", value)
        if before is not None and not details and not (is_empty(inputs) and is_empty(outputs)):
            details.append([("as before", "dim")])
        details += self._error(step["error"], before[2] if before else None)
        return Place(head=_head(step, name), details=details)

    def _changed(self, values: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
        """What there is to show, of a step that was shown before only what is not as it was then."""
        if before is None:
            yield from present(values)
            return
        for name in dict.fromkeys([*values, *before] if values else ()):
            value, last = values.get(name), before.get(name)
            if value != last:
                yield name, "(empty)" if is_empty(value) else value

    def _value(self, title: str, value: Any) -> Iterator[list[tuple[str, str]]]:
        lines = list(lines_of(title, value))
        lines_left, left = LONGEST
        for number, (head, text) in enumerate(lines):
            more = len(lines) - number
            if not self._everything and (number > lines_left or len(text) > left):
                self.shortened = True
                cut = number <= lines_left
                rest = _count(len(text) - left, "more character", "more characters") if cut else ""
                rest = rest if cut and more == 1 else _count(more, "more line", "more lines")
                yield [(head, "dim"), (text[:left] if cut else "", ""), (f"… ({rest})", "dim")]
                return
            left -= len(text)
            yield [(head, "dim"), (text, "")]

    def _error(self, error: Mapping[str, str] | None, before: Any) -> Iterator[list[tuple[str, str]]]:
        if not error:
            return
        if error == before:
            yield [(terminal.clean(f"{error['code']}, as before"), "red")]
            return
        yield [(terminal.clean(f"{error['code']}: {error['message']}"), "red")]
        if error.get("hint"):
            yield [(terminal.clean(error["hint"]), "yellow")]


def _way_in_words(way: Way) -> str:
    name = way.name if way.name == "else" else f"case {way.name}"
    return f"{name} ({', '.join(step.key for step in way.steps)})"


def _head(step: Step, name: str) -> list[tuple[str, str]]:
    status = step["status"]
    colour = terminal.COLOURS.get(status, "")
    tries = f", try {step['attempts']}" if (step.get("attempts") or 0) > 1 else ""
    return [
        ("● ", colour),
        (f"{terminal.clean(name)}  ", "bold"),
        (f"{terminal.clean(step['action'])}  ", "dim"),
        (f"{terminal.clean(status)}{tries}", colour),
        (f"  {took(step['started_at'], step['finished_at'])}", "dim"),
    ]


def _is_odd(step: Step) -> bool:
    """Whether somebody may want to see a pass because of this step."""
    return step["status"] in _ODD or bool(step["error"])


def _status(steps: Sequence[Step]) -> str:
    """How a pass stands: by the worst of its steps."""
    return next((status for status in _ODD if any(step["status"] == status for step in steps)), "succeeded")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _draw(tree: Sequence[Place]) -> None:
    """Prints a tree; what stands at the left has no lines before it."""
    console = terminal.open_console()
    fork, corner, bar = ("|- ", "`- ", "|  ") if console.options.ascii_only else ("├─ ", "└─ ", "│  ")

    def draw(places: Sequence[Place], before: str) -> None:
        for number, place in enumerate(places):
            is_last = number == len(places) - 1
            inner = before + ("   " if is_last else bar)
            put(place, before + (corner if is_last else fork), inner + (bar if place.children else "   "))
            draw(place.children, inner)

    def put(place: Place, before: str, under: str) -> None:
        _print(console, place.head, before, under)
        for detail in place.details:
            _print(console, detail, f"{under} ", f"{under}   ")

    for place in tree:
        put(place, "", bar if place.children else "   ")
        draw(place.children, "")


def _print(console: Console, words: list[tuple[str, str]], before: str, after: str) -> None:
    """A line, broken where it has to be; `before` stands before its beginning, `after` before the rest."""
    from rich.text import Text

    width = max(console.width - max(len(before), len(after)), 20)
    for number, part in enumerate(Text.assemble(*words).wrap(console, width)):
        part.rstrip()
        line = Text(after if number else before, style="dim").append_text(part)
        line.rstrip()
        console.print(line, soft_wrap=True)
