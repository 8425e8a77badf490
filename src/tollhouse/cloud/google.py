"""Tokens for Google Cloud: of a service account, of the user's own login, or of the machine (ADC).

The order is that of Google's libraries:
https://cloud.google.com/docs/authentication/application-default-credentials
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tollhouse.cloud.fetch import fetch
from tollhouse.cloud.renewed import CloudError, Renewed
from tollhouse.llm.signing import google

_USERS_FILE: Final = ".config/gcloud/application_default_credentials.json"


class GoogleTokens:
    """Where one configuration has its tokens from."""

    def __init__(
        self, account_json: str | None, environment: Mapping[str, str], clock: Callable[[], float]
    ) -> None:
        self._account = account_json
        self._environment = environment
        self._clock = clock

    def renewed(self) -> Renewed[str]:
        return Renewed(self._token, self._clock)

    async def _token(self) -> tuple[str, float | None]:
        now = self._clock()
        try:
            request = self._request(now)
            status, body = await fetch(request.method, request.url, request.headers, request.body)
            token = google.token_in(status, body)
        except google.BadCredentials as error:
            raise CloudError(f"Google Cloud: {error}") from error
        return token.value, now + token.expires_in

    def _request(self, now: float) -> google.TokenRequest:
        text = self._account or self._environment.get("GCP_SERVICE_ACCOUNT") or self._file()
        if text is not None:
            return google.token_request(google.credentials_of(text), now)
        host = self._environment.get("GCE_METADATA_HOST") or google.METADATA_HOST
        return google.metadata_request(host)

    def _file(self) -> str | None:
        named = self._environment.get("GOOGLE_APPLICATION_CREDENTIALS")
        path = Path(named) if named else Path(self._environment.get("HOME", "/")) / _USERS_FILE
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            if named:
                raise CloudError(f"cannot read {named}: {error.strerror}") from error
            return None
