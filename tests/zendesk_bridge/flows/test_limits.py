import random

from zendesk_bridge.flows.limits import PerMinute, Steady, Told


def _leave(limit: PerMinute | Steady | Told, seconds: float, began: float = 0.0) -> list[float]:
    """When calls leave that follow each other as fast as the limit lets them."""
    now, left = began, []
    while (now := now + limit.wait(now)) < began + seconds:
        limit.take(now)
        left.append(now)
    return left


def test_no_minute_has_more_calls_than_the_limit_wherever_it_begins() -> None:
    left = _leave(PerMinute(50), 600)
    assert left.count(0.0) == 50  # the first ones need not wait
    assert max(sum(at <= each < at + 60 for each in left) for at in left) == 50
    assert len(left) >= 9 * 50


def test_a_refusal_pauses_and_lowers_a_limit_and_a_quiet_time_raises_it_again() -> None:
    limit = PerMinute(300)
    for _ in range(201):
        limit.take(0.0)
    limit.refused(1.0, 30)
    assert limit.wait(1.0) == 61  # the 200 that it took are more than 180
    assert limit.left(62.5) == 180
    _leave(limit, 1, began=63)
    assert limit.left(900) == 300


def test_several_refusals_at_once_lower_a_limit_once() -> None:
    limit = PerMinute(300)
    for _ in range(20):
        limit.take(0.0)
    for _ in range(10):
        limit.refused(0.5, 5)
    assert limit.left(63) == 150  # few calls are refused for other reasons than their number


def test_a_channel_takes_a_short_burst_then_one_message_a_second() -> None:
    assert _leave(Steady(1.0, 2), 4.5) == [0, 0, 1, 2, 3, 4]


def test_a_channel_that_refused_is_left_alone_and_gets_no_burst_after_it() -> None:
    limit = Steady(1.0, 2)
    limit.take(10.0)
    limit.refused(10.1, 7)
    assert [round(at, 1) for at in _leave(limit, 10, began=10.2)] == [17.1, 18.1, 19.1, 20.1]


def test_a_budget_is_what_the_service_says_half_of_it_at_once_the_rest_evenly_and_a_tenth_never() -> None:
    limit = Told(200)
    limit.answered(0.1, limit.take(0.0), total=700, left=699, resets=60)
    assert limit.left(0.2) == 629
    left = _leave(limit, 59.9, began=0.2)
    assert sum(at < 1 for at in left) in range(348, 356)
    assert sum(at < 30 for at in left) in range(485, 495)
    assert len(left) in range(625, 630)


def test_what_others_use_is_not_used_a_second_time() -> None:
    limit = Told(100)
    limit.answered(0.0, limit.take(0.0), total=100, left=99, resets=60)
    limit.answered(20.0, limit.take(20.0), total=100, left=30, resets=40)  # 68 are not ours
    assert limit.wait(20.0) > 5
    assert len(_leave(limit, 39, began=20.0)) in range(19, 21)


def test_retry_after_counts_more_than_what_is_said_to_be_left() -> None:
    limit = Told(100)
    limit.answered(0.0, limit.take(0.0), total=100, left=99, resets=5)
    limit.refused(0.0, 93)
    assert limit.wait(1.0) == 92
    assert limit.left(94) == 90


def test_a_budget_whose_renewal_is_never_named_is_renewed_after_a_minute() -> None:
    limit = Told(10)
    assert len(_leave(limit, 59)) == 9
    assert limit.wait(59.0) == 1
    assert limit.left(60.0) == 9


def test_calls_under_way_are_not_given_away_twice() -> None:
    """A service that counts a minute from its own clock, answers in any order, and others beside us."""
    chance = random.Random(7)
    for _ in range(50):
        limit, used, minute, refused, now = Told(200), 0, 0, 0, 0.0
        under_way: list[tuple[float, int, float, int]] = []
        while now < 300:
            now += chance.expovariate(40)
            if now // 60 > minute:
                minute, used = int(now // 60), 0
            if chance.random() < 0.01:
                used += 1
            for each in [each for each in under_way if each[0] <= now]:
                under_way.remove(each)
                limit.answered(now, each[3], 120, each[1], each[2])
            if limit.wait(now) <= 0:
                number = limit.take(now)
                used += 1
                refused += used > 120
                resets = float(-(-((minute + 1) * 60 - now) // 1))
                under_way.append((now + chance.uniform(0, 0.4), max(0, 120 - used), resets, number))
        assert refused == 0


def test_a_service_that_names_no_budget_has_none_until_it_names_one_or_refuses() -> None:
    limit = Told(10, is_optional=True)
    assert len(_leave(limit, 1)) < 9
    limit.answered(1.0, limit.take(1.0), total=None, left=None, resets=None)
    assert limit.wait(1.0) == 0
    limit.refused(2.0, 30)
    assert limit.wait(2.0) == 30
    limit.answered(40.0, limit.take(40.0), total=20, left=5, resets=30)
    assert limit.left(40.0) == 3
