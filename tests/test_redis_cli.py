"""`livecache redis` prints what redis-cli would."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from livecache.commands.redis_cli import ErrorReply, Status, format_reply, raw_reply, read_reply, send
from livecache.embedded.server import EmbeddedServer
from livecache.errors import RedisUnavailable


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedServer(temporary=True) as server:
        yield server.url


def ask(url: str, *command: str, raw: bool = False) -> tuple[str, int]:
    out = io.StringIO()
    code = send(url, command, raw=raw, out=out)
    return out.getvalue().removesuffix("\n"), code


def test_each_kind_of_reply_looks_as_in_redis_cli(url: str) -> None:
    assert ask(url, "SET", "greeting", "hello") == ("OK", 0)
    assert ask(url, "GET", "greeting") == ('"hello"', 0)
    assert ask(url, "get", "nothing") == ("(nil)", 0)
    assert ask(url, "INCR", "number") == ("(integer) 1", 0)
    assert ask(url, "PING") == ("PONG", 0)
    assert ask(url, "TYPE", "greeting") == ("string", 0)
    assert ask(url, "LRANGE", "nothing", "0", "-1") == ("(empty array)", 0)


def test_an_error_reply_ends_with_one(url: str) -> None:
    ask(url, "SET", "text", "x")
    assert ask(url, "LPUSH", "text", "1") == (
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        1,
    )
    text, code = ask(url, "NOSUCH")
    assert text.startswith("(error) ERR unknown command")
    assert code == 1


def test_arrays_are_numbered_and_aligned(url: str) -> None:
    ask(url, "RPUSH", "list", *map(str, range(10)))
    text, _ = ask(url, "LRANGE", "list", "0", "-1")
    assert text.splitlines()[0] == ' 1) "0"'
    assert text.splitlines()[-1] == '10) "9"'


def test_nested_arrays_are_indented() -> None:
    reply = [[b"a", [1, None]], [], Status("OK"), [ErrorReply("ERR no")]]
    assert format_reply(reply).splitlines() == [
        '1) 1) "a"',
        "   2) 1) (integer) 1",
        "      2) (nil)",
        "2) (empty array)",
        "3) OK",
        "4) 1) (error) ERR no",
    ]


def test_bytes_that_cannot_be_printed_are_escaped(url: str) -> None:
    ask(url, "SET", "odd", 'é\x01\n\t"\\')
    assert ask(url, "GET", "odd")[0] == r'"\xc3\xa9\x01\n\t\"\\"'


def test_raw_prints_texts_as_they_are(url: str) -> None:
    ask(url, "SET", "odd", 'é "x"')
    assert ask(url, "GET", "odd", raw=True) == ('é "x"', 0)
    assert raw_reply([1, b"a", [None, Status("OK")]]) == "1\na\n\nOK"


def test_texts_for_people_are_not_quoted(url: str) -> None:
    text, code = ask(url, "INFO", "server")
    assert text.startswith("# Server")
    assert code == 0


def test_a_candle_in_a_sorted_set_reads_back_verbatim(url: str) -> None:
    key, member = "livecache:{coinbase:BTC-USD}:5m", "[1700000000000,1.50,2,1,1.7,0.001]"
    ask(url, "ZADD", key, "1700000000000", member)
    assert ask(url, "ZRANGE", key, "-1", "-1")[0] == f'1) "{member}"'


def test_a_password_in_the_url_is_used_and_never_shown(url: str) -> None:
    ask(url, "ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "+get", "+ping")
    host = url.removeprefix("redis://")
    assert ask(f"redis://reader:s3cret@{host}", "PING") == ("PONG", 0)
    with pytest.raises(RedisUnavailable) as caught:
        ask("redis://reader:s3cret@127.0.0.1:1/0", "PING")
    assert "cannot connect to redis://reader:***@127.0.0.1:1/0" in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_a_reply_that_is_cut_off_is_no_reply() -> None:
    for wire in (b"", b"+OK", b"$5\r\nab", b"*2\r\n:1\r\n", b"HTTP/1.1 400\r\n"):
        with pytest.raises(EOFError):
            read_reply(io.BytesIO(wire))
