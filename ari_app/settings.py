"""The only reader of the environment: SHAREDLINE_* variables, or the same lines in an env file.

The env file is /etc/sharedline/sharedline.env unless SHAREDLINE_ENV_FILE names another. Secrets
come from there or from files, never from the command line.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_ENV_FILE = "/etc/sharedline/sharedline.env"
MAX_PORT = 65535


class SettingsError(Exception):
    """A setting is missing or wrong; the text is one line that says what to do."""


def _loopback(bind: str) -> str:
    """A loopback address and a port, or nothing: who can reach it needs no password."""
    host, _, port = bind.rpartition(":")
    try:
        fits = ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        fits = False
    if bind and not (fits and port.isascii() and port.isdecimal() and int(port) <= MAX_PORT):
        raise ValueError("write 127.0.0.1:PORT or [::1]:PORT, or leave it empty for none")
    return bind


class Settings(BaseSettings):
    """Everything that differs from one installation to the next. Durations in seconds."""

    model_config = SettingsConfigDict(env_prefix="SHAREDLINE_", extra="ignore", frozen=True)

    database_url: str = Field(
        "sqlite:////var/lib/sharedline/sharedline.db",
        description="Where the database is.",
    )
    ari_url: str = Field(
        "http://127.0.0.1:8088/ari",
        description="Asterisk's ARI, without user and password.",
    )
    ari_user: str = Field("sharedline", description="The user in ari.conf.")
    ari_password: SecretStr | None = Field(None, description="That user's password.")
    ari_password_file: Path | None = Field(
        None, description="A file that holds the password, instead of ari_password."
    )
    app: str = Field(
        "sharedline",
        pattern=r"^[A-Za-z0-9_-]{1,70}$",
        description="The name of the Stasis app, as in extensions.conf.",
    )
    region: str = Field(
        "US",
        pattern=r"^[A-Z]{2}$",
        description="Two-letter country whose way of writing numbers is assumed without a +.",
    )
    sip_server: str = Field(
        "",
        description="Host or host:port that phones register to; printed by agents add --phone.",
    )
    db_patience_s: float = Field(
        10.0,
        gt=0,
        description="How long the database may stay away before callers are given back.",
    )
    spool_dir: Path = Field(
        Path("/var/spool/asterisk/sharedline"),
        description="Where the dialplan's fallback writes calls and messages (SL_SPOOL).",
    )
    inbox_limit: int = Field(
        100_000, gt=0, description="Most events that may wait in memory to be handled."
    )
    health_bind: Annotated[str, AfterValidator(_loopback)] = Field(
        "127.0.0.1:9180",
        description="Where /health and /metrics are served; port 0 is any, empty is nowhere.",
    )
    log_format: str = Field(
        "auto",
        pattern="^(auto|json|console)$",
        description="auto: console on a terminal.",
    )

    @field_validator("ari_url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("write it without user and password: they have their own settings")
        return url

    def secret(self) -> str:
        """The ARI password. Raises SettingsError when it is nowhere to be found."""
        if self.ari_password is not None:
            return self.ari_password.get_secret_value()
        if self.ari_password_file is None:
            raise SettingsError(
                "no ARI password: set SHAREDLINE_ARI_PASSWORD or SHAREDLINE_ARI_PASSWORD_FILE"
            )
        try:
            return self.ari_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cannot read {self.ari_password_file}: {error}") from error


def load_settings() -> Settings:
    """Settings from the env file and the environment, the environment winning.

    Raises SettingsError, one line for the first thing wrong.
    """
    env_file = os.environ.get("SHAREDLINE_ENV_FILE", DEFAULT_ENV_FILE)
    try:
        return Settings(_env_file=env_file if os.access(env_file, os.R_OK) else None)
    except ValidationError as error:
        first = error.errors()[0]
        name = "SHAREDLINE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error
