"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from bolt_app.cli import commands
from bolt_app.composition import wire
from bolt_app.settings import Settings
from zendesk_bridge import recipes
from zendesk_bridge.flows.compiled import compile_flow
from zendesk_bridge.flows.files import read_flow
from zendesk_bridge.rehearsal import parse_cases, rehearse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_is_the_one_the_code_prints() -> None:
    _, _, rest = README.partition("`zendesk-connector flows reference`, checked by the tests -->\n")
    printed, _, _ = rest.partition("<!-- end of reference -->")
    expected = wire(Settings.model_construct()).bridge.reference()
    assert printed.strip() == expected.strip(), "run `make reference`"


def test_every_setting_is_named() -> None:
    missing = [name.upper() for name in Settings.model_fields if f"`{name.upper()}`" not in README]
    assert missing == []


def test_the_example_of_what_happens_next_is_a_flow() -> None:
    example = README.partition("**What happens next**")[2].partition("```yaml\nsteps:\n")[2].partition("```")[0]
    text = f"""\
key: example
name: Example
trigger: {{event: zendesk.ticket_agent_assignment_changed}}
steps:
  - {{key: ticket, action: zendesk.look_up_ticket, inputs: {{ticket_id: "{{{{ trigger.ticket_id }}}}"}}}}
  - {{key: assignee, action: zendesk.look_up_user, inputs: {{user_id: "{{{{ ticket.assignee_id }}}}"}}}}
{example}"""
    catalog = wire(Settings.model_construct()).bridge.catalog
    assert [str(each) for each in read_flow(text, "example.yml", catalog).problems] == []
    assert len(list(read_flow(text, "example.yml", catalog).flow.actions())) == 4  # type: ignore[union-attr]


def test_every_command_is_named() -> None:
    group = typer.main.get_command(commands())
    assert isinstance(group, typer.core.TyperGroup)
    chapter = README.partition("## Commands")[2].partition("\n## ")[0]
    for name, command in group.commands.items():
        assert name in chapter
        for below in getattr(command, "commands", {}):
            assert re.search(rf"\b{below}\b", chapter), f"{name} {below}"


def test_the_files_it_draws_exist() -> None:
    chapter = README.partition("## How it is built")[2].partition("\n## ")[0]
    drawing = chapter.partition("```")[2].partition("```")[0]
    folder = ROOT
    for line in drawing.strip().splitlines():
        if not line.startswith(" "):
            folder = ROOT / line.strip()
        for name in re.findall(r"[\w]+(?:\.py|/)", line) if line.startswith(" ") else ():
            assert (folder / name).exists(), f"{folder.name}/{name}"


def test_every_module_is_in_the_drawing() -> None:
    chapter = README.partition("## How it is built")[2].partition("\n## ")[0]
    words = set(re.findall(r"\w+", chapter.partition("```")[2].partition("```")[0]))
    folders = ("bolt_app", "zendesk_bridge", "zendesk_bridge/flows")
    names = [path.stem for folder in folders for path in (ROOT / folder).glob("*.py")]
    assert sorted({*names} - words - {"__init__"}) == []


def test_every_link_within_it_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", README) if link not in anchors] == []


async def test_the_test_it_shows_fits_the_flow_it_shows() -> None:
    text = README.partition("# yaml-language-server")[2].partition("```")[0].partition("\n")[2]
    tests = "tests:" + README.partition("```yaml\ntests:")[2].partition("```")[0]
    catalog = wire(Settings.model_construct()).bridge.catalog
    flow = read_flow(text, "notify-assigned-agents.yml", catalog).flow
    cases = parse_cases(tests, "notify-assigned-agents.test.yml")
    assert flow is not None
    assert isinstance(cases, list)
    results = [await rehearse(compile_flow(flow, 1, catalog), case, catalog) for case in cases]
    assert [result["differences"] for result in results] == [[]]


def test_the_flow_it_shows_is_good() -> None:
    example = README.partition("# yaml-language-server")[2].partition("```")[0].partition("\n")[2]
    catalog = wire(Settings.model_construct()).bridge.catalog
    assert read_flow(example, "README.md", catalog).problems == []


def test_the_recipe_it_names_is_shipped() -> None:
    assert "notify-assigned-agents.yml" in recipes.texts()
    assert "notify-assigned-agents" in README


def test_no_line_of_the_project_names_the_place_it_was_made() -> None:
    names = ["/" + "work/", "/" + "root/"]
    for path in ROOT.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        if hidden or path.suffix not in (".py", ".md", ".yml"):
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        assert not [name for name in names if name in text], path
