"""Secrets from files: ENGINE_<NAME>_FILE names a file that holds ENGINE_<NAME>, as container platforms mount them."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource


class SecretFiles(PydanticBaseSettingsSource):
    """For every setting of type SecretStr; line ends at the end of the file are no part of the secret.

    Raises ValueError when both variables are set, so that nobody believes in the one that does not count.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Its secret, or None when no file is named. Raises OSError for a file that can't be read."""
        variable = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        path = os.environ.get(f"{variable}_FILE")
        if field.annotation is not SecretStr or not path:
            return None, field_name, False
        if variable in os.environ:
            raise ValueError(f"set {variable} or {variable}_FILE, not both")
        return Path(path).read_text().rstrip("\r\n"), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The secrets that files hold, by setting."""
        fields = self.settings_cls.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in found.items() if value is not None}
