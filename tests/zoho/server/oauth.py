# SPDX-License-Identifier: PostgreSQL
"""OAuth 2: clients, grant codes, refresh tokens, access tokens, scopes."""

import dataclasses
import itertools

from .errors import ZohoError

PREFIX = "Zoho-oauthtoken "
ALL_SCOPES = ("data.create", "data.read", "data.update", "data.delete", "metadata.read", "modeling.create",
              "usermanagement.read")


@dataclasses.dataclass
class Refresh:
    token: str
    client: str
    user: str
    scopes: tuple
    issued: list = dataclasses.field(default_factory=list)      # the times of access tokens
    live: list = dataclasses.field(default_factory=list)        # the access tokens, oldest first


@dataclasses.dataclass
class Access:
    token: str
    refresh: Refresh
    expires: float


class OAuth:
    def __init__(self, settings, clock):
        self.settings, self.clock = settings, clock
        self.clients = {}       # id -> secret
        self.grants = {}        # code -> (client, user, scopes, end)
        self.refreshes = {}     # token -> Refresh
        self.accesses = {}      # token -> Access
        self._serial = itertools.count(1)

    # ---- what the test arranges ----

    def add_client(self, client, secret):
        self.clients[client] = secret

    def add_grant(self, client, user, scopes):
        code = f"1000.grant{next(self._serial):06}.code"
        self.grants[code] = (client, user, tuple(scopes), self.clock.now() + self.settings.grant_life)
        return code

    def add_refresh(self, client, user, scopes, token=None):
        refresh = Refresh(token or f"1000.refresh{next(self._serial):06}.token", client, user, tuple(scopes))
        own = [old for old in self.refreshes.values() if (old.client, old.user) == (client, user)]
        if len(own) >= self.settings.refresh_tokens_per_user:
            self.revoke(own[0].token)
        self.refreshes[refresh.token] = refresh
        return refresh

    def revoke(self, token):
        for access in self.refreshes.pop(token).live:
            self.accesses.pop(access.token, None)

    def expire_all(self):
        """Access tokens only: a refresh works."""
        self.accesses.clear()
        for refresh in self.refreshes.values():
            refresh.live.clear()

    # ---- the token endpoint ----

    def answer(self, form):
        """(HTTP status, body): failures have status 200 as well."""
        kind = form.get("grant_type")
        needed = {"refresh_token": ("refresh_token",), "authorization_code": ("code",)}.get(kind)
        if needed is None or any(not form.get(name) for name in (*needed, "client_id", "client_secret")):
            return 200, {"error": self.settings.missing_parameter_error}
        if form["client_id"] not in self.clients:
            return 200, {"error": "invalid_client"}
        if form["client_secret"] != self.clients[form["client_id"]]:
            return 200, {"error": self.settings.bad_secret_error}
        return self._refreshed(form) if kind == "refresh_token" else self._granted(form)

    def _granted(self, form):
        client, user, scopes, end = self.grants.pop(form["code"], (None, None, (), 0))
        if client != form["client_id"] or self.clock.now() > end:
            return 200, {"error": "invalid_code"}
        refresh = self.add_refresh(client, user, scopes)
        return 200, {"refresh_token": refresh.token, **self._issue(refresh)}

    def _refreshed(self, form):
        refresh = self.refreshes.get(form["refresh_token"])
        if refresh is None or refresh.client != form["client_id"]:
            return 200, {"error": "invalid_code"}
        since = self.clock.now() - self.settings.token_window
        refresh.issued = [at for at in refresh.issued if at > since]
        if len(refresh.issued) >= self.settings.tokens_per_window:
            return self.settings.throttle_status, self.settings.throttle_body
        return 200, self._issue(refresh)

    def _issue(self, refresh):
        now = self.clock.now()
        access = Access(f"1000.access{next(self._serial):06}.token", refresh, now + self.settings.token_life)
        refresh.issued.append(now)
        refresh.live = [old for old in refresh.live if old.expires > now]
        while len(refresh.live) >= self.settings.live_tokens:
            self.accesses.pop(refresh.live.pop(0).token, None)
        refresh.live.append(access)
        self.accesses[access.token] = access
        answer = {"access_token": access.token, "api_domain": "https://www.zohoapis.com", "token_type": "Bearer",
                  "expires_in": self.settings.token_life}
        if self.settings.token_answer_scope:
            answer["scope"] = " ".join(f"ZohoAnalytics.{scope}" for scope in refresh.scopes)
        return answer

    # ---- every other call ----

    def authorize(self, header, scopes):
        """The user behind an Authorization header; 8535 for whatever is wrong, a scope that lacks among it."""
        token = header[len(PREFIX):] if header.startswith(PREFIX) else None
        access = self.accesses.get(token)
        if access is None or self.clock.now() >= access.expires:
            raise ZohoError(8535, "Invalid OAuth token.")
        if not all(grants(access.refresh.scopes, scope) for scope in scopes):
            raise ZohoError(8535, "Invalid OAuth token.")
        return access.refresh.user


def grants(held, scope):
    return not {scope, f"{scope.partition('.')[0]}.all", "fullaccess.all"}.isdisjoint(held)
