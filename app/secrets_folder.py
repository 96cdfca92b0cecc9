"""Settings from files: the way in which Docker and Kubernetes hand out secrets.

What neither the caller nor an environment variable sets may stand in a file of the folder `PHASEGAP_SECRETS_DIR`, named
as the variable would be, in capitals or not (`phasegap_database_url`); white space around it does not count.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsError

FOLDER = "PHASEGAP_SECRETS_DIR"


class SecretsFolder(BaseSettings):
    """A part of the settings of the service."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller gives, then the environment, then the folder.

        Raises:
            SettingsError: there is no such folder: a mount that failed must not read as a setting that was left out.
        """
        folder = os.environ.get(FOLDER)
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise SettingsError(f"{FOLDER}: there is no folder {folder}")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)
