"""Reading from the Zendesk sandbox: single records, many, side-loads, and the answers to wrong questions."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from zendesk_bridge.sandbox import ZendeskServer, people

BEARER = {"Authorization": f"Bearer {people.OAUTH_TOKEN}"}


@pytest.fixture
async def zendesk() -> AsyncIterator[ZendeskServer]:
    async with ZendeskServer() as server:
        yield server


async def get(zendesk: ZendeskServer, path: str, status: int = 200) -> Any:
    async with aiohttp.ClientSession(headers=BEARER) as session, session.get(zendesk.url + path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_a_ticket_answers_alike_with_and_without_json_at_its_end(zendesk: ZendeskServer) -> None:
    plain = await get(zendesk, f"/api/v2/tickets/{people.MARKUP}")
    assert plain == await get(zendesk, f"/api/v2/tickets/{people.MARKUP}.json")
    assert plain["ticket"]["subject"] == "Charged twice: A&B <b>wholesale</b> order"
    assert plain["ticket"]["url"] == f"{zendesk.url}/api/v2/tickets/{people.MARKUP}.json"


async def test_one_read_brings_the_people_organization_group_and_times(zendesk: ZendeskServer) -> None:
    await zendesk.assign(people.GRINDER, people.NOOR)
    path = f"/api/v2/tickets/{people.GRINDER}?include=users,organizations,groups,metric_sets"
    answer = await get(zendesk, path)
    assert {user["email"] for user in answer["users"]} == {"noor@example.com", "mira.castellan@harbourcoffee.example"}
    assert [organization["name"] for organization in answer["organizations"]] == ["Harbour Coffee"]
    assert [group["name"] for group in answer["groups"]] == ["Support"]
    (metrics,) = answer["metric_sets"]
    assert metrics["ticket_id"] == people.GRINDER
    assert metrics["assigned_at"] == answer["ticket"]["updated_at"]
    assert metrics["assignee_updated_at"] is None


async def test_the_organization_beside_a_ticket_is_the_tickets_not_the_requesters(zendesk: ZendeskServer) -> None:
    answer = await get(zendesk, f"/api/v2/tickets/{people.OTHER_ORGANIZATION}?include=users,organizations")
    assert [organization["name"] for organization in answer["organizations"]] == ["Quay Bakery"]
    assert answer["users"][0]["organization_id"] == people.HARBOUR_COFFEE


async def test_an_account_may_send_the_metric_set_inside_the_ticket(zendesk: ZendeskServer) -> None:
    zendesk.state.metric_set_inside_ticket = True
    answer = await get(zendesk, f"/api/v2/tickets/{people.MARKUP}?include=metric_sets")
    assert "metric_sets" not in answer
    assert answer["ticket"]["metric_set"]["assignee_updated_at"] is not None


async def test_side_loads_and_fields_can_be_missing_altogether(zendesk: ZendeskServer) -> None:
    zendesk.state.leave_out = {"metric_sets", "organizations"}
    zendesk.state.absent_fields = {"user": {"notes", "iana_time_zone"}}
    path = f"/api/v2/tickets/{people.GRINDER}?include=users,organizations,metric_sets"
    answer = await get(zendesk, path)
    assert set(answer) == {"ticket", "users"}
    assert not {"notes", "iana_time_zone"} & set(answer["users"][0])
    user = (await get(zendesk, f"/api/v2/users/{people.MIRA}"))["user"]
    assert not {"notes", "iana_time_zone"} & set(user)


async def test_many_tickets_come_by_id_and_missing_ones_are_left_out(zendesk: ZendeskServer) -> None:
    ids = f"{people.LONG},{people.GRINDER},999999,{people.GRINDER}"
    answer = await get(zendesk, f"/api/v2/tickets/show_many?ids={ids}&include=users")
    assert [ticket["id"] for ticket in answer["tickets"]] == [people.GRINDER, people.LONG]
    assert (answer["count"], answer["next_page"], answer["previous_page"]) == (2, None, None)
    assert {user["id"] for user in answer["users"]} == {people.MIRA, people.TOMAS}


async def test_many_users_and_organizations_come_at_once(zendesk: ZendeskServer) -> None:
    users = await get(zendesk, f"/api/v2/users/show_many?ids={people.YUKI},{people.ADA}")
    assert [user["id"] for user in users["users"]] == [people.ADA, people.YUKI]
    ids = f"{people.QUAY_BAKERY},{people.HARBOUR_COFFEE}"
    organizations = await get(zendesk, f"/api/v2/organizations/show_many?ids={ids}")
    assert [each["name"] for each in organizations["organizations"]] == ["Harbour Coffee", "Quay Bakery"]


async def test_more_than_a_hundred_ids_are_refused(zendesk: ZendeskServer) -> None:
    ids = ",".join(str(number) for number in range(1, 102))
    assert (await get(zendesk, f"/api/v2/tickets/show_many?ids={ids}", 400))["error"] == "TooManyValues"


async def test_a_missing_record_and_a_missing_path_are_told_apart(zendesk: ZendeskServer) -> None:
    assert (await get(zendesk, "/api/v2/tickets/9223372036854775807.json", 404))["error"] == "RecordNotFound"
    assert (await get(zendesk, "/api/v2/no_such_thing", 404))["error"] == "InvalidEndpoint"


@pytest.mark.parametrize("path", ["tickets/abc", "users/1e3", "organizations/-1", "tickets/show_many?ids=1,x"])
async def test_an_id_that_is_no_number_is_an_invalid_attribute(zendesk: ZendeskServer, path: str) -> None:
    answer = await get(zendesk, f"/api/v2/{path}", 400)
    assert answer["error"]["title"] == "Invalid attribute"


async def test_metrics_comments_and_audits_of_a_ticket_can_be_read(zendesk: ZendeskServer) -> None:
    base = f"/api/v2/tickets/{people.MARKUP}"
    assert (await get(zendesk, f"{base}/metrics"))["ticket_metric"]["replies"] == 1
    comments = await get(zendesk, f"{base}/comments?page[size]=1")
    assert comments["meta"]["has_more"] is True
    assert comments["comments"][0]["html_body"].startswith(
        '<div class="zd-comment" dir="auto"><p dir="auto">Invoice 88 &amp;'
    )
    audits = (await get(zendesk, f"{base}/audits"))["audits"]
    made = {event["field_name"]: event["value"] for event in audits[0]["events"] if event["type"] == "Create"}
    # Ids are text in audits, though numbers in tickets.
    assert made["assignee_id"] == str(people.BEN)


async def test_comments_go_page_by_page_without_loss(zendesk: ZendeskServer) -> None:
    address, bodies = f"/api/v2/tickets/{people.MARKUP}/comments?page[size]=1", []
    for _ in range(2):
        answer = await get(zendesk, address)
        bodies += [comment["body"] for comment in answer["comments"]]
        address = answer["links"]["next"].removeprefix(zendesk.url)
    assert bodies == [comment["body"] for comment in zendesk.state.comments[people.MARKUP]]
    assert answer["meta"]["has_more"] is False


async def test_comments_come_newest_first_by_the_parameter_of_each_way_of_paging(zendesk: ZendeskServer) -> None:
    base = f"/api/v2/tickets/{people.MARKUP}/comments"
    oldest = [comment["id"] for comment in zendesk.state.comments[people.MARKUP]]
    newest = oldest[::-1]
    for query, expected in (
        ("", oldest),
        ("?sort_order=desc", newest),
        ("?sort=-created_at", oldest),
        ("?page[size]=5", oldest),
        ("?page[size]=5&sort=created_at", oldest),
        ("?page[size]=5&sort=-created_at", newest),
        ("?page[size]=5&sort_order=desc", oldest),
    ):
        comments = (await get(zendesk, base + query))["comments"]
        assert [comment["id"] for comment in comments] == expected, query


async def test_the_authors_of_a_page_of_comments_come_beside_them_if_asked(zendesk: ZendeskServer) -> None:
    address = f"/api/v2/tickets/{people.MARKUP}/comments?sort=-created_at&include=users&page[size]=1"
    seen: list[tuple[str, str]] = []
    for _ in range(2):
        answer = await get(zendesk, address)
        seen += [(user["role"], user["name"]) for user in answer["users"]]
        address = answer["links"]["next"].removeprefix(zendesk.url)
    assert seen == [("agent", "Ben Okafor"), ("end-user", "Tomas Lindqvist")]
    assert "users" not in await get(zendesk, f"/api/v2/tickets/{people.MARKUP}/comments")


async def test_the_cast_has_gaps_like_real_people(zendesk: ZendeskServer) -> None:
    users = {user["id"]: user for user in (await get(zendesk, "/api/v2/users"))["users"]}
    emails = {users[id]["email"] for id in (people.ADA, people.NOOR, people.BEN, people.LIN)}
    assert emails == {"ada@example.com", "noor@example.com", "ben@example.com", "lin@example.com"}
    assert users[people.YUKI]["email"] is None
    gaps = ("organization_id", "notes", "iana_time_zone")
    assert [users[people.TOMAS][gap] for gap in gaps] == [None, None, None]
