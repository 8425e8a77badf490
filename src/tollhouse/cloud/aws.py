"""Credentials for AWS, in the order of its SDKs: settings, environment, web identity (IRSA), profile,
container, machine. https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tollhouse.cloud.fetch import fetch
from tollhouse.cloud.renewed import CloudError, Renewed
from tollhouse.errors import PeerError
from tollhouse.llm.signing.aws import AwsCredentials, signed_fields
from tollhouse.llm.signing.aws_profiles import (
    DEFAULT_PROFILE,
    Profile,
    assume_role_form,
    credentials_in,
    profile_in,
    web_identity_form,
)

_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_CONTAINER: Final = "http://169.254.170.2"
_MACHINE: Final = "http://169.254.169.254"
_SESSION: Final = "tollhouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """What a plugin's settings say; the environment says the rest."""

    region: str
    access_key_id: str | None = None
    secret_access_key: str | None = None
    role_arn: str | None = None
    sts_url: str | None = None


class AwsKeys:
    """Where one configuration has its credentials from."""

    def __init__(
        self, settings: AwsSettings, environment: Mapping[str, str], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._clock = clock

    def renewed(self) -> Renewed[AwsCredentials]:
        return Renewed(self._credentials, self._clock)

    async def _credentials(self) -> tuple[AwsCredentials, float | None]:
        try:
            found = await self._found()
            if self._settings.role_arn is not None:
                found = await self._assumed(found, self._settings.role_arn)
        except (PeerError, ValueError) as error:
            raise CloudError(f"AWS: {error}") from error
        return found, found.expires_at

    async def _found(self) -> AwsCredentials:
        settings, given = self._settings, self._environment
        if settings.access_key_id and settings.secret_access_key:
            return AwsCredentials(settings.access_key_id, settings.secret_access_key)
        key, secret = given.get("AWS_ACCESS_KEY_ID"), given.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return AwsCredentials(key, secret, given.get("AWS_SESSION_TOKEN"))
        token_file, role = given.get("AWS_WEB_IDENTITY_TOKEN_FILE"), given.get("AWS_ROLE_ARN")
        if token_file and role:
            return await self._by_web_identity(role, token_file)
        profile = self._profile(given.get("AWS_PROFILE") or DEFAULT_PROFILE)
        if profile is not None:
            return await self._of_profile(profile)
        path = given.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        if path:
            return await self._asked("GET", f"{_CONTAINER}{path}")
        return await self._of_machine()

    def _profile(self, name: str) -> Profile | None:
        home = Path(self._environment.get("HOME", "/")) / ".aws"
        named = (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))
        texts = []
        for variable, file in named:
            path = Path(self._environment.get(variable) or home / file)
            texts.append(path.read_text(encoding="utf-8") if path.is_file() else "")
        return profile_in(name, *texts)

    async def _of_profile(self, profile: Profile) -> AwsCredentials:
        found = profile.credentials
        if profile.role_arn and profile.web_identity_token_file:
            return await self._by_web_identity(profile.role_arn, profile.web_identity_token_file)
        if profile.source_profile:
            source = self._profile(profile.source_profile)
            found = source.credentials if source is not None else None
        if found is None:
            raise CloudError("the profile has no keys, and no source of keys that is supported")
        return await self._assumed(found, profile.role_arn) if profile.role_arn else found

    async def _by_web_identity(self, role: str, token_file: str) -> AwsCredentials:
        try:
            token = (await asyncio.to_thread(Path(token_file).read_text, "utf-8")).strip()
        except OSError as error:
            raise CloudError(f"cannot read {token_file}: {error.strerror}") from error
        session = self._environment.get("AWS_ROLE_SESSION_NAME") or _SESSION
        return await self._asked("POST", self._sts(), (_FORM,), web_identity_form(role, token, session))

    async def _assumed(self, found: AwsCredentials, role: str) -> AwsCredentials:
        body = assume_role_form(role, _SESSION)
        url = self._sts()
        host = url.partition("://")[2].rstrip("/")
        fields = signed_fields(
            *("POST", host, "/", "", (_FORM,), body, found),
            region=self._settings.region,
            service="sts",
            instant=self._clock(),
        )
        return await self._asked("POST", url, (_FORM, *fields.items()), body)

    def _sts(self) -> str:
        own = self._settings.sts_url or self._environment.get("AWS_ENDPOINT_URL_STS")
        return own or f"https://sts.{self._settings.region}.amazonaws.com/"

    async def _of_machine(self) -> AwsCredentials:
        base = f"{_MACHINE}/latest/meta-data/iam/security-credentials/"
        asked = (("X-aws-ec2-metadata-token-ttl-seconds", "300"),)
        status, token = await fetch("PUT", f"{_MACHINE}/latest/api/token", asked)
        if status != 200:
            raise CloudError("there are no credentials in the settings, the environment, or this machine")
        proof = (("X-aws-ec2-metadata-token", token.decode()),)
        status, role = await fetch("GET", base, proof)
        if status != 200:
            raise CloudError("this machine has no role")
        return await self._asked("GET", base + role.decode().split("\n")[0], proof)

    async def _asked(
        self, method: str, url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> AwsCredentials:
        status, answer = await fetch(method, url, headers, body)
        if status != 200:
            raise CloudError(f"{url} answered {status}: {answer[:200].decode('utf-8', 'replace')}")
        return credentials_in(answer)
