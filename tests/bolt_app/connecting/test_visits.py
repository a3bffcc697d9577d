"""One-time links: what opens, what does not, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bolt_app.connecting.visits import LIFETIME, MOST, Refused, Visits, fingerprint


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visits(clock: Clock) -> Visits:
    return Visits(clock)


def refusal(work: object, *arguments: str) -> str:
    with pytest.raises(Refused) as caught:
        work(*arguments)  # type: ignore[operator]
    return caught.value.reason


def test_looking_at_a_link_does_not_use_it_up(visits: Visits) -> None:
    link = visits.invite("slack")
    for _ in range(50):
        visits.look("slack", link)
    visits.begin("slack", link)
    assert refusal(visits.look, "slack", link) == "used"
    assert refusal(visits.begin, "slack", link) == "used"


def test_a_link_of_one_service_does_not_open_the_other(visits: Visits) -> None:
    link = visits.invite("slack")
    assert refusal(visits.look, "zendesk", link) == "unknown"
    assert refusal(visits.begin, "zendesk", link) == "unknown"
    visit, browser, state = visits.begin("slack", link)
    assert refusal(visits.answered, "zendesk", state, browser) == "unknown_state"
    visit.outcome = {"account": "x"}
    assert refusal(visits.outcome, "zendesk", browser) == "unknown"
    assert refusal(visits.of_link, "zendesk", fingerprint(link)) == "unknown"


def test_a_link_is_good_for_fifteen_minutes(visits: Visits, clock: Clock) -> None:
    link = visits.invite("slack")
    clock.now += LIFETIME - 1
    visits.look("slack", link)
    clock.now += 61
    assert refusal(visits.look, "slack", link) == "expired"
    assert refusal(visits.begin, "slack", link) == "expired"
    assert refusal(visits.of_link, "slack", fingerprint(link)) == "expired"


def test_all_that_a_link_began_ends_with_it(visits: Visits, clock: Clock) -> None:
    link = visits.invite("slack")
    clock.now += LIFETIME - 1
    visit, browser, state = visits.begin("slack", link)
    clock.now += 2
    assert refusal(visits.answered, "slack", state, browser) == "expired"
    visit.outcome = {"account": "x"}
    assert refusal(visits.outcome, "slack", browser) == "expired"


def test_an_answer_in_another_browser_leaves_the_first_one_able_to_go_on(visits: Visits) -> None:
    _, browser, state = visits.begin("slack", visits.invite("slack"))
    _, other, _ = visits.begin("slack", visits.invite("slack"))
    for wrong in (other, "", "é", "\ud800"):
        assert refusal(visits.answered, "slack", state, wrong) == "another_browser"
    visits.answered("slack", state, browser)
    assert refusal(visits.answered, "slack", state, browser) == "answered"
    assert refusal(visits.answered, "slack", state, other) == "another_browser"


@pytest.mark.parametrize("state", ["", "nonsense", "\ud800", "é" * 10_000])
def test_a_state_that_was_not_given_out_is_refused(visits: Visits, state: str) -> None:
    _, browser, _ = visits.begin("slack", visits.invite("slack"))
    assert refusal(visits.answered, "slack", state, browser) == "unknown_state"


def test_a_link_that_nobody_followed_is_no_state_and_no_browser(visits: Visits) -> None:
    link = visits.invite("slack")
    assert refusal(visits.answered, "slack", "", "") == "unknown_state"
    assert refusal(visits.outcome, "slack", "") == "unknown"
    _, browser, state = visits.begin("slack", link)
    assert refusal(visits.look, "slack", state) == "unknown"
    assert refusal(visits.look, "slack", browser) == "unknown"
    assert refusal(visits.answered, "slack", browser, state) == "unknown_state"


def test_a_new_link_ends_the_earlier_one_that_nobody_followed(visits: Visits) -> None:
    earlier, other = visits.invite("slack"), visits.invite("zendesk")
    newer = visits.invite("slack")
    assert refusal(visits.look, "slack", earlier) == "replaced"
    visits.look("slack", newer)
    visits.look("zendesk", other)


def test_a_flood_of_unknown_links_does_not_forget_a_good_one(visits: Visits) -> None:
    link = visits.invite("slack")
    for number in range(5_000):
        refusal(visits.look, "slack", str(number))
        refusal(visits.begin, "slack", str(number))
    visits.begin("slack", link)


def test_visits_do_not_grow_without_end(visits: Visits) -> None:
    for _ in range(MOST * 3):
        visits.begin("slack", visits.invite("slack"))
    assert len(visits._visits) <= MOST + 1


def test_what_is_remembered_is_no_secret(visits: Visits) -> None:
    link = visits.invite("slack")
    visit, browser, state = visits.begin("slack", link)
    visit.verifier = "a verifier"
    shown = repr(visits._visits)
    for secret in (link, browser, state, "a verifier"):
        assert secret not in shown
    assert len({link, browser, state}) == 3
    assert all(len(each) >= 43 for each in (link, browser, state))
