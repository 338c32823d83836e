"""What a supervisor tells a worker of another version, since a worker that is replaced after an upgrade is newer."""

from __future__ import annotations

from mlprod_nb.serving.supervision.link import News


def test_news_that_say_more_or_less_than_a_worker_knows_are_read() -> None:
    news = News(workers=2, restarts=1, dead=["a"], troubles=["worker 1 ended"])
    assert News.read(news.line()) == news
    assert News.read(b'{"workers": 3, "mood": "good"}') == News(workers=3)
