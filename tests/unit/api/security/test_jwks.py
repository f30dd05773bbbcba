"""Tokens of issuers: which key of theirs fits, what becomes of rotations, and what an issuer cannot do to us."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.http.error import KeysUnavailableError, UnauthorizedError
from api.security.jwks import KEY_TYPES, IssuerKeys, Key
from api.security.principal import Principal
from api.security.token import Tokens
from infra.fakes.issuer import Issuer
from infra.fakes.serve import serve_app
from infra.settings import JWT_ALGORITHMS, OFF, Settings, SettingsError, read_settings
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import SECRET, a_token, bearer
from tests.waiting import until

ANN = Principal("ann")


def settings(url: str, **more: Any) -> Settings:
    return Settings(jwt_jwks_url=url, jwt_algorithms=",".join(JWT_ALGORITHMS), **more)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_every_algorithm_has_a_type_of_key() -> None:
    assert tuple(KEY_TYPES) == JWT_ALGORITHMS


@pytest.mark.parametrize("algorithm", JWT_ALGORITHMS)
async def test_each_kind_of_key_verifies(algorithm: str) -> None:
    issuer = Issuer(algorithm)
    async with issuer.serve() as url:
        tokens = Tokens(settings(url))
        token = issuer.token(sub="ann")
        assert [await tokens.principal(token) for _ in range(3)] == [ANN] * 3
        assert await tokens.principal(issuer.token(sub="bob")) == Principal("bob")
        assert issuer.request_count == 1
        with pytest.raises(UnauthorizedError, match="signature"):
            await tokens.principal(Issuer(algorithm).token(sub="ann"))
    assert issuer.request_count == 2  # to see whether the forged one's key is a new one


async def test_an_algorithm_that_is_not_set_is_refused() -> None:
    tokens = Tokens(Settings(jwt_jwks_url="http://127.0.0.1:1"))
    for algorithm in ("RS512", "PS256", "ES256", "ES384", "EdDSA"):
        with pytest.raises(UnauthorizedError, match="not signed as it must be"):
            await tokens.principal(Issuer(algorithm).token(sub="ann"))


@pytest.mark.parametrize("names", ["HS256", "none", "RS256,HS256", "RS256,none", "rs256", "ES256K", ",", "RS256;ES256"])
def test_only_algorithms_of_public_keys_can_be_set(names: str) -> None:
    with pytest.raises(SettingsError, match="JWT_ALGORITHMS"):
        read_settings({"JWT_ALGORITHMS": names})
    assert read_settings({"JWT_ALGORITHMS": "RS256, ES384,EdDSA"}).jwt_algorithm_list == ["RS256", "ES384", "EdDSA"]


def encoded(part: Any) -> str:
    return (
        base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=").decode()
    )


HEADERS: list[Any] = [
    *(
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {},
        {"alg": None},
        {"alg": 7},
        {"alg": ["RS256"]},
        {"alg": {}},
        [],
    ),
    *({"alg": "HS256"}, {"alg": "HS256", "kid": "key-1"}, {"alg": "RS256", "kid": 7}, {"alg": "RS256", "kid": {}}),
    *({"alg": "RS256", "crit": ["x"]}, {"alg": "RS256", "b64": False, "crit": ["b64"]}, {"alg": "ES256"}, [], 7),
]


@pytest.mark.parametrize("claims", [{"sub": "ann", "exp": 1e10}, {"iss": ["a"]}, 7], ids=str)
async def test_a_forged_header_opens_nothing(claims: Any) -> None:
    issuer = Issuer()
    async with issuer.serve() as url:
        for tokens in (Tokens(settings(url)), Tokens(settings(url, jwt_issuer="https://a.example", jwt_secret=SECRET))):
            for header in HEADERS:
                for signature in ("", encoded(b"x" * 256)):
                    with pytest.raises(UnauthorizedError):
                        await tokens.principal(f"{encoded(header)}.{encoded(claims)}.{signature}")


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    "token", ["a", "a.b", "..", "a.b.c.d", "é.é.é", "[" * 9_000, f"{encoded(DEEP)}.e30.e30", f"e30.{encoded(DEEP)}.e30"]
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthorizedError):
        await Tokens(Settings(jwt_secret=SECRET)).principal(token)


async def test_a_published_key_is_no_secret_whatever_a_token_says() -> None:
    issuer = Issuer()
    pem = jwt.PyJWK(issuer.jwks[0]).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = encoded({"alg": "HS256", "kid": "key-1"}), encoded({"sub": "ann", "exp": time.time() + 60})
    async with issuer.serve() as url:
        for secret in (pem, pem.strip(), json.dumps(issuer.jwks[0]).encode()):
            signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
                f"{head}.{body}".encode(), secret
            )
            for tokens in (Tokens(settings(url)), Tokens(settings(url, jwt_secret=SECRET))):
                with pytest.raises(UnauthorizedError):
                    await tokens.principal(f"{head}.{body}.{encoded(signature)}")


async def test_a_new_key_is_found_at_once_and_unknown_names_do_not_have_the_issuer_asked_again() -> None:
    issuer = Issuer("EdDSA")
    async with issuer.serve() as url:
        tokens = Tokens(settings(url))
        old = issuer.token(sub="old")
        assert await tokens.principal(issuer.token(sub="ann")) == ANN
        issuer.rotate()
        assert await tokens.principal(issuer.token(sub="ann")) == ANN
        for number in range(20):
            with pytest.raises(UnauthorizedError, match="not one of the issuer's"):
                await tokens.principal(issuer.token(sub="ann", header={"kid": f"unknown-{number}"}))
        with pytest.raises(UnauthorizedError, match="not one of the issuer's"):
            await tokens.principal(old)
    assert issuer.request_count == 2


async def test_keys_without_names_and_names_that_are_used_again_rotate_too() -> None:
    for issuer in (Issuer("EdDSA", names_keys=False), Issuer("ES256")):
        async with issuer.serve() as url:
            tokens = Tokens(settings(url))
            assert await tokens.principal(issuer.token(sub="ann")) == ANN
            issuer.rotate()
            if "kid" in issuer.jwks[0]:
                issuer.jwks[0]["kid"] = "key-1"
            header = {"kid": "key-1"} if "kid" in issuer.jwks[0] else {}
            assert await tokens.principal(issuer.token(sub="bob", header=header)) == Principal("bob")


async def test_without_a_name_one_key_must_fit() -> None:
    issuer = Issuer("ES256")
    async with issuer.serve() as url:
        tokens = Tokens(settings(url))
        others = [
            Issuer("RS256").jwks[0],
            Issuer("ES384").jwks[0],
            {**Issuer("ES256").jwks[0], "use": "enc"},
        ]
        issuer.jwks += others
        assert await tokens.principal(issuer.token(sub="ann", header={})) == ANN  # of its kind it is the only one
        issuer.rotate(keep_previous=True)
        with pytest.raises(UnauthorizedError):
            await Tokens(settings(url)).principal(issuer.token(sub="ann", header={}))
        assert await Tokens(settings(url)).principal(issuer.token(sub="ann")) == ANN


JUNK: list[Any] = [
    *(None, 7, "key", [], {}, {"kty": "RSA"}, {"kty": "RSA", "n": "!", "e": "AQAB"}, {"kty": "RSA", "n": "", "e": ""}),
    *(
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "key-1"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    ),
    *(
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": ["RSA"]},
        {"kty": {}},
    ),
    *({"kty": "RSA", "key_ops": 7}, {"kty": "RSA", "kid": 7, "n": "AQAB", "e": "AQAB"}, {"kty": "new", "use": "sig"}),
]


async def test_keys_that_cannot_be_used_are_passed_over() -> None:
    issuer = Issuer()
    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    small = {**RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True), "kid": "small"}
    private = {**RSAAlgorithm.to_jwk(weak, as_dict=True), "kid": "private"}
    issuer.jwks = [*JUNK, small, private, *issuer.jwks, *JUNK]
    async with issuer.serve() as url:
        tokens = Tokens(settings(url))
        assert await tokens.principal(issuer.token(sub="ann")) == ANN
        for kid in ("small", "private"):
            with pytest.raises(UnauthorizedError, match="not one of the issuer's"):
                await tokens.principal(issuer.token(sub="ann", header={"kid": kid}))


async def test_a_key_that_is_there_for_something_else_verifies_nothing() -> None:
    issuer = Issuer("ES256")
    async with issuer.serve() as url:
        own = issuer.jwks[0]
        for change in (
            *({"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "ES384"}, {"alg": "ECDH-ES"}, {"kty": "RSA"}),
            *({"d": "AQAB"}, {"crv": "P-384"}, {"alg": "none"}, {"use": ["sig"]}),
        ):
            issuer.jwks = [own | change]
            with pytest.raises(UnauthorizedError, match="not one of the issuer's"):
                await Tokens(settings(url)).principal(issuer.token(sub="ann"))


async def test_issuers_have_each_their_own_keys() -> None:
    a, b = Issuer(), Issuer("ES256")
    names = "https://a.example", "https://b.example"
    async with a.serve() as one, b.serve() as other:
        tokens = Tokens(settings(f"{one}, {other}", jwt_issuer=", ".join(names)))
        assert await tokens.principal(a.token(sub="ann", iss=names[0])) == ANN
        assert await tokens.principal(b.token(sub="bob", iss=names[1])) == Principal("bob")
        for issuer, name in ((a, names[1]), (b, names[0])):
            with pytest.raises(UnauthorizedError):
                await tokens.principal(issuer.token(sub="ann", iss=name))
        for claims in ({}, {"iss": "https://c.example"}, {"iss": ""}, {"iss": ", ".join(names)}):
            with pytest.raises(UnauthorizedError):
                await tokens.principal(a.token(sub="ann", **claims))


async def test_one_address_may_serve_several_issuers() -> None:
    issuer = Issuer("EdDSA")
    async with issuer.serve() as url:
        tokens = Tokens(settings(url, jwt_issuer="accounts.example,https://accounts.example"))
        for name in ("accounts.example", "https://accounts.example"):
            assert await tokens.principal(issuer.token(sub="ann", iss=name)) == ANN
        with pytest.raises(UnauthorizedError, match="another issuer"):
            await tokens.principal(issuer.token(sub="ann", iss="https://evil.example"))
    assert issuer.request_count == 1


@pytest.mark.parametrize("issuers", ["", "a", "a,b,c"])
def test_several_addresses_need_as_many_issuers(issuers: str) -> None:
    with pytest.raises(SettingsError, match="JWT_ISSUER"):
        read_settings({"JWT_JWKS_URL": "https://a/keys,https://b/keys", "JWT_ISSUER": issuers})


@pytest.mark.parametrize(
    ("leeway_s", "late_s", "is_accepted"), [(0, 5, False), (10, 5, True), (10, 20, False), (60, 30, True)]
)
async def test_clocks_may_be_off_by_the_leeway(leeway_s: float, late_s: float, is_accepted: bool) -> None:
    issuer = Issuer("EdDSA")
    async with issuer.serve() as url:
        tokens = Tokens(settings(url, jwt_leeway_s=float(leeway_s)))
        now_s = time.time()
        for claims in ({"exp": now_s - late_s}, {"nbf": now_s + late_s}, {"iat": now_s + late_s}):
            token = issuer.token(sub="ann", **claims)
            if is_accepted:
                assert await tokens.principal(token) == ANN
            else:
                with pytest.raises(UnauthorizedError):
                    await tokens.principal(token)


@pytest.mark.parametrize(
    "claims", [{"exp": "soon"}, {"exp": 1e400}, {"exp": []}, {"sub": 7}, {"sub": None}, {"sub": ["a"]}]
)
async def test_claims_of_other_types_are_refused(claims: dict[str, Any]) -> None:
    token = a_token() if not claims else jwt.encode({"sub": "ann", "exp": 1e10} | claims, SECRET, "HS256")
    with pytest.raises(UnauthorizedError):
        await Tokens(Settings(jwt_secret=SECRET)).principal(token)


@asynccontextmanager
async def answering(answer: Any) -> AsyncIterator[str]:
    """Serve keys as an answer says."""

    async def serve(_: Request) -> Response:
        return await answer() if asyncio.iscoroutinefunction(answer) else answer()

    async with serve_app(Starlette(routes=[Route("/", serve), Route("/keys", serve)])) as url:
        yield url


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(status_code=500),
        lambda: Response(status_code=302, headers={"Location": "/keys"}),
        lambda: Response(b"<html>"),
        lambda: Response(b'{"keys": 7}'),
        lambda: Response(b"[]"),
        lambda: Response(b"{}"),
        lambda: Response(b"\xff\xfe"),
        lambda: Response(DEEP),
        lambda: Response(b" " * 300_000 + b'{"keys": []}'),
        lambda: StreamingResponse(_endless()),
        lambda: Response(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
    ],
)
async def test_an_answer_that_is_no_set_of_keys_is_as_none_and_bounded(answer: Any) -> None:
    async with asyncio.timeout(20), answering(answer) as url:
        keys = IssuerKeys(url)
        with pytest.raises(KeysUnavailableError):
            await keys.find("RS256", "key-1")
        with pytest.raises(KeysUnavailableError):
            await keys.find("RS256", "key-1")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "nonsense", "ftp://example.org/keys", "http://[", "https://127.0.0.1:1"]
)
async def test_an_address_where_nobody_answers_is_no_fault_of_the_callers(url: str) -> None:
    with pytest.raises(KeysUnavailableError):
        await IssuerKeys(url).find("RS256", None)


async def found_or_none(keys: IssuerKeys, kid: str) -> Key | None:
    try:
        return await keys.find("RS256", kid)
    except UnauthorizedError:
        return None


async def test_what_is_known_holds_while_the_issuer_is_away_and_is_renewed_beside() -> None:
    issuer, clock = Issuer(), Clock()
    async with asyncio.timeout(20), issuer.serve() as url:
        keys = IssuerKeys(url, clock_s=clock)
        first = await keys.find("RS256", "key-1")
        issuer.is_unavailable = True
        clock.now_s += 301

        async def asked_again() -> bool:
            assert await keys.find("RS256", "key-1") == first
            return issuer.request_count >= 2

        await until(asked_again)
        issuer.is_unavailable = False
        issuer.rotate()

        async def renewed() -> bool:  # it is not waited for
            clock.now_s += 11
            return await found_or_none(keys, "key-1") != first

        await until(renewed)
        assert (await keys.find("RS256", "key-2")).kid == "key-2"


async def test_a_known_key_is_not_waited_for_while_the_issuer_is_asked() -> None:
    issuer = Issuer("EdDSA")
    is_held, goes_on = asyncio.Event(), asyncio.Event()
    goes_on.set()

    async def answer() -> Response:
        is_held.set()
        await goes_on.wait()
        return Response(json.dumps({"keys": issuer.jwks}))

    async with answering(answer) as url:
        tokens = Tokens(settings(url))
        assert await tokens.principal(issuer.token(sub="ann")) == ANN
        goes_on.clear()
        is_held.clear()
        unknown = [issuer.token(sub="x", header={"kid": f"k{number}"}) for number in range(5)]
        waiting = [asyncio.create_task(tokens.principal(token)) for token in unknown]
        await is_held.wait()
        async with asyncio.timeout(2):
            for number in range(20):
                assert await tokens.principal(issuer.token(sub=f"user-{number}")) == Principal(f"user-{number}")
        assert not any(task.done() for task in waiting)
        goes_on.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {UnauthorizedError}


async def test_a_caller_who_gives_up_does_not_take_the_keys_from_the_others() -> None:
    issuer = Issuer("EdDSA")
    async with issuer.serve() as url:
        tokens = Tokens(settings(url))
        tasks = [asyncio.create_task(tokens.principal(issuer.token(sub="ann", n=number))) for number in range(9)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1:] == [ANN] * 8
    assert issuer.request_count == 1


async def test_who_asks_too_often_is_refused_before_a_token_is_verified() -> None:
    issuer = Issuer()
    async with (
        issuer.serve() as url,
        World().http(
            environment="production", jwt_jwks_url=url, rate_limit_address="3/minute", rate_limit_user=OFF
        ) as http,
    ):
        statuses = [(await http.get("/content?user_id=ann")).status_code for _ in range(4)]
        answer = await http.get("/content?user_id=ann", headers=bearer(issuer.token(sub="ann")))
    assert (statuses, answer.status_code) == ([401, 401, 401, 429], 429)
    assert issuer.request_count == 0


async def test_a_service_that_is_known_is_let_through_however_many_ask_from_its_address() -> None:
    async with World().http(environment="production", jwt_secret=SECRET, rate_limit_address="3/minute") as http:
        service = bearer(a_token("app", scope="service"))
        assert (await http.get("/interaction/ann", headers=service)).status_code == 200
        assert [(await http.get("/content?user_id=a")).status_code for _ in range(4)][-1] == 429
        assert (await http.get("/interaction/ann", headers=service)).status_code == 200
