"""What a client of Redis may raise, what it means, and what to do about it. Pure.

Servers refuse in words of their own: old ones and new ones, clusters, proxies before them, and services that
count requests. Whatever they say becomes an error of ours that names the remedy, if one is known.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from hiredis import HiredisError
from redis.auth.err import InvalidTokenSchemaErr, RequestTokenErr, TokenRenewalErr
from redis.event import EventException
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ChildDeadlockedError,
    ClusterCrossSlotError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    DataError,
    ExternalAuthProviderError,
    IncorrectPolicyType,
    InvalidResponse,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.sentinel import MasterNotFoundError

from ..errors import AccessDenied, RedisUnavailable

__all__ = [
    "CLIENT_ERRORS",
    "ERRORS",
    "NO_REDIS",
    "hint_on",
    "is_denied",
    "is_unknown_script_command",
    "kind_of",
    "passes",
    "said",
    "unavailable",
]

CLIENT_ERRORS = (
    RedisError,
    # redis-py has some that are no RedisError.
    RedisClusterException,
    ChildDeadlockedError,
    IncorrectPolicyType,
    EventException,
    InvalidTokenSchemaErr,
    RequestTokenErr,
    TokenRenewalErr,
    HiredisError,  # of what is no Redis's protocol
)
"""What redis-py raises of its own."""

ERRORS = (*CLIENT_ERRORS, OSError, EOFError, UnicodeError)
"""What a command may raise for Redis's or the network's sake. UnicodeError: the name of its host is none."""

NO_REDIS = (TypeError,)
"""… and in redis-py's own taking apart of a reply, where what answers is no Redis."""

_LOGIN = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    ExternalAuthProviderError,
    InvalidTokenSchemaErr,
    RequestTokenErr,
    TokenRenewalErr,
)


class _Refusal(NamedTuple):
    """An error reply that is known: by its code (the first word), or by the text of one that has none."""

    codes: str
    text: str  # a pattern, of any case
    remedy: str
    in_vain: bool = False  # waiting does not help


_NODE = "it is a node of a Redis Cluster: redis+cluster://host:port names that, rediss+cluster:// with TLS"
_CLUSTER = "a master of the cluster is away, or keys are moved: `livecache cluster`, or its log, tells more"
_NO_NODE = "none of the URL's nodes can be asked: are they running, and are these their addresses?"
_DISK = "it cannot write to its disk: make room there, or let it write to its directory (its log says which)"

_NOT_ALLOWED = _Refusal(
    "NOPERM",
    r"acl failure in script|user executing the script can.?t|no permissions? to",  # … of 7.2 on, and before
    "docs/redis.md lists what each user has to be allowed",
)

_REFUSALS = (
    _Refusal("DENIED", "", "it is in protected mode, for this machine only: give it a password, or a `bind`"),
    _Refusal("MOVED ASK CROSSSLOT", "", _NODE),
    _Refusal("CLUSTERDOWN TRYAGAIN", "", _CLUSTER),
    _Refusal("", r"in cluster mode", f"a Redis Cluster has database 0 alone. {_NODE}", in_vain=True),
    _NOT_ALLOWED,
    # Some, and proxies before them, send the words without the code.
    _Refusal(
        "OOM",
        r"used memory|maxmemory",
        "its memory is full: raise its maxmemory, or make room; what is there stays",
    ),
    _Refusal("MISCONF", r"no space left|disk (is )?full|persist (to|on) disk", _DISK),
    _Refusal(
        "READONLY MASTERDOWN",
        r"read.only replica",
        "a replica is no place to write: give the primary's address, or the Sentinels'",
    ),
    _Refusal("NOREPLICAS", "", "it wants more replicas before it writes: see its min-replicas-to-write"),
    _Refusal("LOADING", "", "it reads its data from disk, and answers by itself once it has"),
    _Refusal("BUSY", "", "somebody's script keeps it busy: SCRIPT KILL ends one that has written nothing"),
    _Refusal(
        "NOPROTO", r"'hello'|`hello`", "it does not speak RESP3: put ?protocol=2 behind the URL", in_vain=True
    ),
    _Refusal(
        "",
        r"max number of clients|too many connections|connection limit",
        "it has as many connections as it takes: raise its maxclients, or close others",
    ),
    # Of services that count: they say it in many ways, and let it pass in a second or a month.
    _Refusal(
        "",
        r"quota|throttl|rate.?limit|too many requests"
        r"|(limit|requests?|bandwidth|size).{0,40}exceed|exceed.{0,40}limit",
        "its provider's limit is reached: wait for the next period, or take a larger plan",
    ),
    _Refusal(
        "",
        r"maintenance|migrat|fail.?over|temporar|try again|retry later|(is|are) (paused|starting|upgrad)",
        "it says that this passes: its provider's status tells when, if it does not",
    ),
    _Refusal(
        "",
        r"\bdb (index|number)|invalid (db|database)"
        r"|(database|db|select)\b.*(range|exist|allow|support|permit)",
        "it has no such database: give another number behind the URL's last slash, or none",
        in_vain=True,
    ),
    _Refusal(
        "",
        r"unknown command\W*(smembers|hgetall|mget|get|set)\b",
        "every Redis has that command, and a Sentinel has not: redis+sentinel://host:26379/master asks one",
        in_vain=True,
    ),
    _Refusal(
        "",
        r"unknown command\W*cluster\b",
        "it is no node of a cluster: redis:// names a server, redis+sentinel:// its Sentinels",
        in_vain=True,
    ),
    _Refusal(
        "",
        r"(unknown|unsupported|disabled|unrecognized|illegal)( redis)? command"
        r"|(command|script).*(not (be )?(supported|allowed|available|enabled|implemented)|disabled)",
        "livecache needs that command, and Lua scripts: Redis and Valkey have them, some proxies have not",
        in_vain=True,
    ),
)


def hint_on(error: BaseException) -> str:
    """What to do about an error of `ERRORS`."""
    causes = list(_causes(error))
    sentinel = isinstance(error, MasterNotFoundError)
    for cause in causes:
        if isinstance(cause, _LOGIN):
            return _hint_on_login(cause, sentinel=sentinel)
        refusal = _refusal(cause)
        # What a Sentinel does not know is its address's fault, and no setting of Redis's.
        if refusal is not None and not (sentinel and refusal.in_vain):
            return refusal.remedy
        if isinstance(cause, TimeoutError) and "reading" in str(cause):
            return "it accepts connections and answers nothing: is it paused, busy, or short of memory?"
        if isinstance(cause, ssl.SSLCertVerificationError):  # redis-py wraps this one in an error of its own
            return "name the CA that signed its certificate: ?ssl_ca_certs=/path/ca.pem, or SSL_CERT_FILE"
        if isinstance(cause, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(cause):
            return "it does not speak TLS at this port: redis:// instead of rediss://, or its TLS port"
    if sentinel:
        return "check the Sentinels' addresses and the master's name: redis+sentinel://host:26379/master"
    if isinstance(error, MaxConnectionsError):
        return (
            "this client has as many connections as it may: read with fewer threads, or raise max_connections"
        )
    if isinstance(error, RedisClusterException) and "not enabled" in str(error):
        return "it is a single server: redis:// instead of redis+cluster://"
    if isinstance(error, RedisClusterException) and "reachable node" in str(error):
        return _NO_NODE
    if isinstance(error, ClusterError | RedisClusterException):
        return _CLUSTER
    if isinstance(error, ResponseError):
        return "these are the server's own words: its log or its provider tells more"
    if isinstance(error, InvalidResponse | HiredisError):
        return "what answers there speaks no Redis: is this its address?"
    return "is it running, and is this its address? LIVECACHE_REDIS_URL or the reader's url"


def passes(error: BaseException) -> bool:
    """Whether trying again later can help. What nobody knows may pass too."""
    if isinstance(error, DataError):  # It could not even be asked.
        return False
    refusal = _refusal(error)
    return refusal is None or not refusal.in_vain


def said(error: BaseException) -> str:
    """What is wrong, in one line: the server's own words, where ours are not better."""
    if _wants_password(error):
        return "Redis wants a password, and the URL has none"
    # asyncio names the address once more, as Python writes it.
    told = re.sub(r"(Connect call failed) \([^()]*\)", r"\1", str(error)[:200]).removesuffix(".")
    text, noted = told or type(error).__name__, getattr(error, "status_code", None)
    return text if noted in (None, "ERR") or text.startswith(noted) else f"{noted} {text}"


def kind_of(error: BaseException) -> str:
    """One word for errors of this kind: the class, or for a reply that has none its code if that is known."""
    code = _code(error) if type(error) is ResponseError else ""
    known = any(code in refusal.codes.split() for refusal in _REFUSALS)
    return code if known else type(error).__name__


def unavailable(error: BaseException) -> RedisUnavailable:
    """What a reader raises for an error of `ERRORS`."""
    if isinstance(error, RedisUnavailable):
        return error
    hint = hint_on(error)
    if is_denied(error):
        return AccessDenied(f"Redis does not allow it: {said(error)}", hint)
    if _wants_password(error):
        return AccessDenied(said(error), hint)
    if isinstance(error, _LOGIN):
        return AccessDenied(f"Redis does not let us in: {said(error)}", hint)
    if isinstance(error, ResponseError):
        return RedisUnavailable(f"Redis refuses: {said(error)}", hint)
    return RedisUnavailable(f"Redis cannot be read: {said(error)}", hint)


def is_denied(error: BaseException) -> bool:
    """Whether the server's ACL forbids it. From within a script that is an error of no class of its own."""
    return isinstance(error, ResponseError) and _refusal(error) is _NOT_ALLOWED


def is_unknown_script_command(error: BaseException) -> bool:
    """Whether the server does not know the command that was to run a script, be that EVALSHA_RO."""
    return isinstance(error, ResponseError) and not passes(error) and "eval" in str(error).lower()


# --- inside


# redis-py cuts the first word off replies that it has a class for.
_CODE_OF = (
    (NoPermissionError, "NOPERM"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (MasterDownError, "MASTERDOWN"),  # before the one that it is one of
    (ClusterDownError, "CLUSTERDOWN"),
    (MovedError, "MOVED"),  # likewise
    (AskError, "ASK"),
    (TryAgainError, "TRYAGAIN"),
    (ClusterCrossSlotError, "CROSSSLOT"),
    (BusyLoadingError, "LOADING"),
)


def _code(error: BaseException) -> str:
    """The first word of an error reply, "" if that is none."""
    for kind, code in _CODE_OF:
        if isinstance(error, kind):
            return code
    first = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return str(first) if str(first).isupper() else ""


def _refusal(error: BaseException) -> _Refusal | None:
    """The known refusal that an error is, if it is one of the server's."""
    # redis-py makes connection errors of some, a full server's among them. What Sentinels say is told in one.
    if not isinstance(error, ResponseError | ConnectionError) or isinstance(error, MasterNotFoundError):
        return None
    code, text = _code(error), str(error)
    for refusal in _REFUSALS:
        if code in refusal.codes.split():
            return refusal
        if refusal.text and re.search(refusal.text, text, re.IGNORECASE):
            return refusal
    return None


def _wants_password(error: BaseException) -> bool:
    return isinstance(error, AuthenticationError) and (
        _code(error) == "NOAUTH" or "already authenticated" in str(error)
    )


def _hint_on_login(error: BaseException, *, sentinel: bool) -> str:
    if sentinel:
        return "check user and password: sentinel_username=…&sentinel_password=…"
    if "without any password configured" in str(error) or "no password is set" in str(error):
        return "it asks for no password: leave user and password out of the URL, or set one there"
    return "check user and password: in the URL they stand before the host, as user:password@host"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised for."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
