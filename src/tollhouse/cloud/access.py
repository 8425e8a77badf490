"""What the node offers plugins of clouds."""

from collections.abc import Callable, Mapping

from tollhouse.cloud.aws import AwsKeys, AwsSettings
from tollhouse.cloud.google import GoogleTokens
from tollhouse.cloud.renewed import Renewed
from tollhouse.llm.signing.aws import AwsCredentials


class CloudAccess:
    """Makes sources of credentials. `clock` is in seconds since the epoch."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._environment = environment
        self._clock = clock

    def google(self, account_json: str | None) -> Renewed[str]:
        """Bearer tokens for Google Cloud."""
        return GoogleTokens(account_json, self._environment, self._clock).renewed()

    def aws_region(self, given: str | None) -> str:
        """The region of the settings, else of the environment, else us-east-1 as in AWS's own tools."""
        own = self._environment
        return given or own.get("AWS_REGION") or own.get("AWS_DEFAULT_REGION") or "us-east-1"

    def aws(
        self, region: str, access_key_id: str | None, secret_access_key: str | None
    ) -> Renewed[AwsCredentials]:
        """Credentials to sign requests to AWS with."""
        settings = AwsSettings(
            region=region, access_key_id=access_key_id, secret_access_key=secret_access_key
        )
        return AwsKeys(settings, self._environment, self._clock).renewed()
