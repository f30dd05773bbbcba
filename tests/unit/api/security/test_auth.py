"""Tokens: whose they are, what they open, and what makes one no good."""

import re
import time
from typing import Any

import httpx
import jwt
import pytest

from api.app import endpoints
from api.http.error import KeysUnavailableError, UnauthorizedError
from api.security.guard import Guard
from api.security.principal import NAMES, Principal
from api.security.token import Tokens
from infra.fakes.issuer import Issuer
from infra.settings import Settings
from tests.build import a_feed
from tests.unit.api.builder import World, a_context, an_interaction_body
from topics.topic import INTERACTIONS

SECRET = "a secret of thirty-two characters and more"
STRICT = {"environment": "production", "jwt_secret": SECRET}
DAY_S = 86_400  # tokens are made when this file is read, and must hold until its last test is through


def a_token(sub: str = "ann", **claims: Any) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + DAY_S, **claims}, SECRET, "HS256")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


ANN = bearer(a_token())


async def refused(http: httpx.AsyncClient, headers: dict[str, str], **value: Any) -> tuple[int, str]:
    request = {"method": "GET", "url": "/content?user_id=ann"} | value
    answer = await http.request(**request, headers=headers)
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("environment", ["production", "prodution", "staging"])
async def test_a_token_is_needed_outside_development(environment: str) -> None:
    async with World().http(environment=environment, jwt_secret=SECRET) as http:
        answer = await http.get("/content?user_id=ann")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_token_is_needed_in_development_but_one_that_is_shown_must_hold() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id="ann")])
    async with world.http(jwt_secret=SECRET) as http:
        assert (await http.get("/content?user_id=ann")).status_code == 200
        assert (await http.get("/content?user_id=ann", headers=ANN)).status_code == 200
        assert await refused(http, bearer("nonsense")) == (401, "unauthorized")
        assert await refused(http, ANN, url="/content?user_id=bob") == (403, "forbidden")


async def test_health_is_open_to_everyone() -> None:
    async with World().http(**STRICT) as http:
        assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (a_token(exp=time.time() - 60), "expired"),
        (a_token(nbf=time.time() + DAY_S), "not valid yet"),
        (a_token(aud="another", iss="https://issuer.example"), "another audience"),
        (a_token(iss="https://another.example", aud="millrace"), "another issuer"),
        (a_token(iss="https://issuer.example"), "must have"),
        (jwt.encode({"sub": "ann"}, SECRET, "HS256"), "must have"),
        (jwt.encode({"sub": "ann", "exp": 1e10}, "x" * 32, "HS256"), "signature"),
        (jwt.encode({"sub": "ann", "exp": 1e10}, None, "none"), "not signed as it must be"),
        (jwt.encode({"sub": "ann", "exp": 1e10}, SECRET * 2, "HS512"), "not signed as it must be"),
        ("not.a.token", "cannot be read"),
    ],
    ids=lambda value: value if " " in value or value.isalpha() else "token",  # tokens differ from run to run
)
async def test_a_token_that_is_no_good_is_refused_with_the_reason(token: str, says: str) -> None:
    tokens = Tokens(Settings(jwt_secret=SECRET, jwt_audience="millrace", jwt_issuer="https://issuer.example"))
    with pytest.raises(UnauthorizedError, match=says) as refusal:
        await tokens.principal(token)
    assert token not in refusal.value.message


async def test_a_token_for_the_right_audience_from_the_right_issuer_is_taken() -> None:
    tokens = Tokens(Settings(jwt_secret=SECRET, jwt_audience="millrace", jwt_issuer="https://issuer.example"))
    token = a_token(aud=["millrace", "other"], iss="https://issuer.example", scope="feed service")
    assert await tokens.principal(token) == Principal("ann", frozenset({"feed", "service"}))


@pytest.mark.parametrize("sub", ["", "x" * 257, "a\nb"])
async def test_a_subject_that_is_no_users_id_is_refused(sub: str) -> None:
    with pytest.raises(UnauthorizedError, match="subject"):
        await Tokens(Settings(jwt_secret=SECRET)).principal(a_token(sub))


async def test_a_cached_token_is_verified_again_once_it_has_expired() -> None:
    now_s = [time.time()]
    tokens = Tokens(Settings(jwt_secret=SECRET, jwt_leeway_s=10.0), clock_s=lambda: now_s[0])
    token = a_token(exp=now_s[0] + 60)
    assert tokens.cached_principal(token) is None
    assert await tokens.principal(token) == tokens.cached_principal(token) is not None
    now_s[0] += 69
    assert tokens.cached_principal(token) is not None, "within the leeway"
    now_s[0] += 1
    assert tokens.cached_principal(token) is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/content?user_id=bob", None),
        ("GET", "/content/stream?user_id=bob", None),
        ("GET", "/interaction/bob", None),
        ("GET", "/results/bob", None),
        ("GET", "/push/preferences/bob", None),
        ("PUT", "/push/preferences/bob", {}),
        ("POST", "/interaction", an_interaction_body(user_id="bob")),
        ("POST", "/interaction/batch", {"interactions": [an_interaction_body(user_id="bob")] * 2}),
        ("POST", "/profile", {"user_id": "bob"}),
        ("POST", "/results/re-rank", {"user_id": "bob", "candidates": ["i1"]}),
        ("POST", "/retrieve/batch", {"user_ids": ["ann"]}),
        ("POST", "/retrain", {}),
        ("GET", "/prompts/ann", None),
    ],
)
async def test_a_users_token_opens_what_is_theirs_only(method: str, path: str, body: Any) -> None:
    world = World()
    async with world.http(**STRICT) as http:
        assert await refused(http, ANN, method=method, url=path, json=body) == (403, "forbidden")
    assert not world.publisher.values_of(INTERACTIONS)


async def test_no_endpoint_of_users_serves_another_user() -> None:
    """Whatever is declared for users and speaks of one refuses a token of another, in the example of its document."""
    async with World().http(**STRICT) as http:
        context = a_context()
        for one in endpoints(context, Guard(context)):
            if one.scope != "user":
                continue
            path = one.path.replace("{user_id}", "bob")
            speaks_of_one = path != one.path or re.search("'(user_ids?|username)'", str(one.example))
            query = {name: "bob" for name in NAMES if one.query and name in one.query.__struct_fields__}
            if not (speaks_of_one or query):
                continue
            answer = await http.request(one.method, path, params=query, json=one.example, headers=ANN)
            assert answer.status_code == 403, (one.method, one.path, answer.text)


@pytest.mark.parametrize("scope", ["service", "admin", "feed admin"])
async def test_a_service_and_an_admin_speak_for_anybody(scope: str) -> None:
    world = World()
    async with world.http(**STRICT) as http:
        answer = await http.post(
            "/interaction", json=an_interaction_body(user_id="bob"), headers=bearer(a_token("app", scope=scope))
        )
    assert answer.status_code == 202
    assert world.publisher.values_of(INTERACTIONS)[0].user_id == "bob"


@pytest.mark.parametrize(("claims", "status"), [({"scp": ["admin"]}, 404), ({"scope": "service"}, 403), ({}, 403)])
async def test_admin_endpoints_are_for_admins(claims: dict[str, Any], status: int) -> None:
    async with World().http(**STRICT) as http:
        assert (await http.get("/prompts/ann", headers=bearer(a_token(**claims)))).status_code == status


async def test_the_admins_own_token_opens_everything_also_where_no_other_is_taken() -> None:
    async with World().http(environment="production", admin_token="sesame") as http:
        assert (await http.get("/prompts/ann", headers=bearer("sesame"))).status_code == 404
        assert (await http.post("/retrain", headers=bearer("sesame"))).status_code == 202
        assert await refused(http, bearer(a_token())) == (401, "unauthorized")


async def test_a_public_key_is_no_secret_to_sign_with() -> None:
    issuer = Issuer()
    async with issuer.serve() as url:
        tokens = Tokens(Settings(jwt_jwks_url=url, jwt_secret=SECRET))
        assert await tokens.principal(a_token()) == Principal("ann")
        head = {"alg": "RS256", "kid": "key-1"}
        forgery = jwt.encode({"sub": "ann", "exp": 1e10}, SECRET, "HS256", head | {"alg": "HS256"})
        assert await tokens.principal(forgery) == Principal("ann")  # an HS256 token is held against the secret alone
        with pytest.raises(UnauthorizedError):
            await Tokens(Settings(jwt_jwks_url=url)).principal(forgery)


async def test_an_issuer_that_is_away_is_no_fault_of_the_callers() -> None:
    issuer = Issuer()
    issuer.is_unavailable = True
    async with issuer.serve() as url, World().http(environment="production", jwt_jwks_url=url) as http:
        answer = await http.get("/content?user_id=ann", headers=bearer(issuer.token(sub="ann")))
        with pytest.raises(KeysUnavailableError):
            await Tokens(Settings(jwt_jwks_url=url)).principal(issuer.token(sub="ann"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "keys_away")
    assert "Retry-After" in answer.headers
