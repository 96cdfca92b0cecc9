"""Every setting of the service, in one frozen class. Environment variables with the prefix `PHASEGAP_` set them.

Units stand in the names. Each default is safe for a stranger's upload on a small machine, and its description says why.
`phasegap settings` prints this list.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app.endpoints import WebhookEndpoint
from app.placing import PlacingSettings
from app.secrets_folder import SecretsFolder
from app.store_settings import StoreSettings
from app.tenancy_settings import TenancySettings
from app.uris import check_prefix

MIB = 1024 * 1024
GIB = 1024 * MIB
ENV_PREFIX = "PHASEGAP_"
GUEST_UID_BASE = 60800
"""Users that no distribution gives away: Debian and systemd leave them alone, and rootless containers have them."""


class Settings(StoreSettings, PlacingSettings, TenancySettings, SecretsFolder):
    """What an operator may choose."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", validate_default=True)

    # Where things are kept
    data_dir: Path = Field(Path("phasegap-data"), description="Folder of uploads, results and the embedded database.")
    database_url: str | None = Field(
        None,
        description="SQLAlchemy URL, PostgreSQL for many workers; empty: SQLite in the data folder (local disk only).",
    )
    migrate_at_start: bool = Field(
        True, description="Whether processes bring the database's schema up to date. False: `phasegap migrate` does."
    )

    # Answering
    wait_seconds: float = Field(
        60.0, ge=0, description="How long POST /diagnose waits for a report unless told otherwise."
    )
    wait_limit_seconds: float = Field(
        600.0, ge=0, description="Longest wait that a client may ask for; proxies drop idle connections beyond that."
    )
    retry_after_seconds: int = Field(
        2, ge=1, description="What Retry-After says with 202: a small job takes about this."
    )
    queue_full_retry_after_seconds: int = Field(10, ge=1, description="What Retry-After says with 503 queue_full.")
    poll_seconds: float = Field(
        0.03, gt=0, description="How often waiting requests look at the database; one query for all of them."
    )
    event_keepalive_seconds: float = Field(15.0, gt=0, description="Silence after which an event stream says it lives.")

    # Connections
    connection_limit: int = Field(
        500, ge=1, description="Connections of one web process; it may open 1,024 files on most systems. Beyond: 503."
    )
    head_limit_bytes: int = Field(64 * 1024, gt=0, description="Largest request line with headers; beyond: 431.")
    head_seconds: float = Field(
        20.0, gt=0, description="How long a connection may take to send a request line with headers."
    )
    send_stall_seconds: float = Field(
        60.0, gt=0, description="How long a client may leave an answer unread before the connection is cut."
    )

    # Uploads
    model_limit_bytes: int = Field(
        2 * GIB, gt=0, description="Largest model file; ResNet-152 with Adam is about 0.7 GiB."
    )
    batch_limit_bytes: int = Field(
        1 * GIB, gt=0, description="Largest batch file; 1,000 images of 224x224x3 float32: 0.6 GiB."
    )
    field_limit_bytes: int = Field(
        64 * 1024, gt=0, description="Largest form field that is not a file, and part header."
    )
    upload_seconds: float = Field(
        900.0, gt=0, description="Longest time an upload may take: a slow drip holds no slot forever."
    )
    upload_grace_seconds: float = Field(
        30.0, gt=0, description="How long an upload may take before it must have kept the slowest rate."
    )
    upload_floor_bytes_per_second: int = Field(
        4096, gt=0, description="Slowest rate of an upload on average; half of what a 64 kbit/s modem does."
    )
    drain_limit_bytes: int = Field(
        4 * GIB,
        ge=0,
        description="How much of a refused body is read and thrown away so that plain clients get to read the refusal.",
    )
    drain_seconds: float = Field(10.0, ge=0, description="How long a refused body is read and thrown away.")
    disk_reserve_bytes: int = Field(
        256 * MIB, ge=0, description="Free space that an upload must leave; below it: 507, before the body is read."
    )

    # Model and batch by URI
    uri_prefixes: tuple[str, ...] = Field(
        (),
        description="What may be fetched in place of an upload, JSON list of https://host/path, s3://bucket/path, "
        "gs://bucket/path, models:/ or runs:/; https:// alone is every public host. Empty: nothing.",
    )
    uri_private_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description='Networks that may be fetched from though they are not public, JSON list: ["10.1.0.0/16"]. Empty: '
        "none, for a URI must not reach what stands behind the firewall.",
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        description="MLflow tracking server for models:/ and runs:/, http(s)://host:port; its address may be private.",
    )
    mlflow_authorization: SecretStr | None = Field(
        None, description="Authorization header for that server: Bearer ..., or Basic ...; empty: none is sent."
    )

    # The queue
    queue_limit_jobs: int = Field(
        100,
        ge=1,
        description="Jobs that may wait; beyond: 503. At a few seconds a job this is a few minutes of waiting.",
    )
    submissions_per_minute_limit: int = Field(
        1200, ge=0, description="Submissions per client and minute and web process, beyond: 429. 0: no limit."
    )
    reuse_reports: bool = Field(
        True,
        description="Whether the same model, batch and options again get the report that is there instead of a run.",
    )
    retention_seconds: float = Field(
        7 * 24 * 3600.0,
        gt=0,
        description="Age after which uploads and results are removed: a week to come back for them.",
    )

    # Running
    job_deadline_seconds: float = Field(600.0, gt=0, description="Wall time that one run may take.")
    guest_cpu_limit_seconds: float = Field(3600.0, gt=0, description="Processor time of one run, over all its threads.")
    guest_memory_limit_bytes: int = Field(
        4 * GIB, gt=0, description="Memory of one run; a ResNet-50 diagnosis takes about 1.5 GiB."
    )
    guest_output_limit_bytes: int = Field(
        8 * GIB,
        gt=0,
        description="What one run may write: a large batch unpacked (removed at its end), report and repaired model.",
    )
    guest_threads: int = Field(0, ge=0, description="Threads of one run; 0: as many as there are cores.")
    guest_uid_base: int = Field(
        GUEST_UID_BASE,
        ge=0,
        le=2**31 - 2**16,
        description="Where the worker is root, the guest of its n-th slot becomes this user plus n; each worker on a "
        "machine needs its own range. 0: guests stay root, without its capabilities.",
    )
    isolation_required: Literal["none", "inner", "full"] = Field(
        "inner",
        description="What must hold guests, or the worker refuses to start. inner: Landlock and seccomp. full: also a "
        "user, a network and a view of files of their own, for which the worker must be root. none: anything.",
    )
    custom_classes_modules: tuple[str, ...] = Field(
        (),
        description="Python modules that register custom Keras classes, JSON list; imported at the start, uncaged.",
    )
    custom_classes_dir: Path | None = Field(None, description="Folder to look for those modules in; empty: installed.")
    attempts_limit: int = Field(
        3, ge=1, description="Runs that may die with their worker before a job is given up: a poison job must not loop."
    )
    heartbeat_seconds: float = Field(2.0, gt=0, description="How often a worker says that it lives.")
    lease_seconds: float = Field(
        20.0,
        gt=0,
        description="Silence after which a worker on another host is taken for dead; here its lock tells at once.",
    )
    reconcile_seconds: float = Field(1.0, gt=0, description="How often jobs of dead workers are looked for.")
    sweep_seconds: float = Field(60.0, gt=0, description="How often expired diagnoses and forgotten files are removed.")
    cancel_poll_seconds: float = Field(0.5, gt=0, description="How often a worker looks whether its job was cancelled.")
    queue_poll_seconds: float = Field(0.1, gt=0, description="How often a worker with a free slot looks for a job.")
    shutdown_seconds: float = Field(
        10.0, gt=0, description="How long processes may take to let go of their work on SIGTERM."
    )

    # Webhooks
    webhook_endpoints: tuple[WebhookEndpoint, ...] = Field(
        (),
        max_length=20,
        description='Who is told when a diagnosis ends, JSON list of {"name", "url", "secret"}; `previous_secret` '
        "signs, too, while a secret is changed. Needed by web processes only; workers never see it.",
    )
    webhook_networks_allowed: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description='Networks beyond the public ones that may be told, and without TLS, JSON list: ["10.1.0.0/16"]. '
        "Empty: no private, loopback or link-local address is ever connected to.",
    )
    webhook_seconds: float = Field(
        15.0, gt=0, le=600, description="How long one attempt may take from connecting to the answer's status."
    )
    webhook_attempts_limit: int = Field(
        10, ge=1, description="Attempts until a delivery is a dead letter; with the waits between them about 20 hours."
    )
    webhook_retry_seconds: float = Field(
        5.0, gt=0, description="Wait after the first failed attempt; each further one is four times as long."
    )
    public_url: str | None = Field(
        None, description="What the service is called from outside, such as https://phasegap.example; begins links."
    )

    # Access
    api_key_hashes: tuple[str, ...] = Field(
        (),
        description="SHA-256 (hex) of API keys with the role admin, JSON list; see `phasegap hash-key`. Keys with "
        "other roles are made by `phasegap keys add`. While there are none of either, nobody is asked for one.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names that clients call the service by, JSON list. Empty: any with a key, else addresses and "
        "names without a public ending: a web page must not reach a local service under a name of its own.",
    )

    # Logs and traces
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged, to stderr.")
    log_format: Literal["json", "console"] = Field("json", description="One JSON object a line, or for people.")
    traces_endpoint: str | None = Field(
        None,
        description="Where spans are posted to, such as http://127.0.0.1:4318/v1/traces; empty: what OpenTelemetry's "
        "own variables (OTEL_EXPORTER_OTLP_ENDPOINT and its like) say, and without those nowhere.",
    )

    @field_validator("data_dir", "custom_classes_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("api_key_hashes")
    @classmethod
    def _hex_digests(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for digest in value:
            if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
                raise ValueError("each API key hash is a SHA-256 digest of 64 hexadecimal digits")
        return tuple(digest.lower() for digest in value)

    @field_validator("webhook_endpoints")
    @classmethod
    def _names_once(cls, value: tuple[WebhookEndpoint, ...]) -> tuple[WebhookEndpoint, ...]:
        if len({endpoint.name for endpoint in value}) < len(value):
            raise ValueError("each webhook needs a `name` of its own")
        return value

    @field_validator("public_url")
    @classmethod
    def _no_slash_at_the_end(cls, value: str | None) -> str | None:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("begins with https:// or http://")
        return value.rstrip("/") if value else None

    @field_validator("uri_prefixes")
    @classmethod
    def _are_prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_prefix(prefix) for prefix in value)

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
                raise ValueError("it must be http://host:port or https://host, without user, password and query")
        return value or None

    @property
    def sqlalchemy_url(self) -> str:
        """The database to use: the configured one, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'phasegap.sqlite'}"

    @property
    def bells_dir(self) -> Path:
        """Where processes that share the data folder wake one another; see `app.bells`."""
        return self.data_dir / "bells"

    @property
    def request_limit_bytes(self) -> int:
        """The largest body that can be a valid submission: both files, their fields and the framing."""
        return self.model_limit_bytes + self.batch_limit_bytes + 8 * self.field_limit_bytes


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment, but for those that are given here and are not None."""
    return Settings(**{name: value for name, value in overrides.items() if value is not None})
