"""The thread that hears channels: what it hears at its end."""

import threading

from redis import Redis

from openbell.bridge.listener import Listener


def test_what_was_published_before_its_end_is_heard_and_nothing_after(redis: Redis) -> None:
    heard: list[bytes] = []
    may_go_on = threading.Event()

    def receive(channel: str, body: bytes) -> None:
        assert may_go_on.wait(20)
        heard.append(body)

    listener = Listener(redis, ["here"], receive, name="listener")
    listener.start()
    for number in range(5):
        assert redis.publish("here", number) == 1
    stopper = threading.Thread(target=listener.stop, args=(20.0,))
    stopper.start()
    assert listener._stopping.wait(20)
    may_go_on.set()
    stopper.join()
    assert heard == [str(number).encode() for number in range(5)]
    assert redis.publish("here", "late") == 0
