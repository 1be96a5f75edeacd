"""What every dataclass of settings is checked with."""

from fmrifm.errors import ConfigError


def check(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse a value that cannot work.

    Args:
        holds: Whether it can.
        name: Dotted name of the setting.
        value: What was found.
        expected: What would do.

    Raises:
        ConfigError: It does not hold.
    """
    if not holds:
        raise ConfigError(f"{name} is {value}; expected {expected}.")
