from pathlib import Path

import pytest

from infra.settings import RENAMED, Settings, SettingsError, masked, read_settings, to_env, unset


def test_nothing_set_means_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_an_empty_value_means_the_default() -> None:
    assert read_settings({"KAFKA_PORT": " ", "REDIS_URL": ""}) == Settings()


def test_values_get_their_types() -> None:
    settings = read_settings({"DEBUG": "yes", "KAFKA_PORT": "19092", "DIVERSITY_CAP": "0.25", "MILLRACE_HOME": "/data"})
    assert (settings.debug, settings.kafka_port, settings.diversity_cap, settings.millrace_home) == (
        True,
        19092,
        0.25,
        Path("/data"),
    )


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as exc_info:
        read_settings({"KAFKA_PORT": "many", "API_PORT": "70000", "DIVERSITY_CAP": "1.5", "DEBUG": "perhaps"})
    assert len(exc_info.value.problems) == 4
    for name in ("KAFKA_PORT='many'", "API_PORT='70000'", "DIVERSITY_CAP='1.5'", "DEBUG='perhaps'"):
        assert name in str(exc_info.value)


def test_errors_say_how_a_value_must_be() -> None:
    with pytest.raises(SettingsError) as exc_info:
        read_settings(
            {"LOG_FORMAT": "xml", "LOCATION_RESOLUTION": "16", "API_MAX_BATCH": "0", "SHOP_CLICKED_WEIGHT": "-1"}
        )
    conditions = [problem.partition(": must be ")[2].partition(" (")[0] for problem in exc_info.value.problems]
    assert conditions == ["auto, json or console", "positive", "from 0 to 15", "0 or more"]


def test_an_invalid_secret_is_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"JWT_SECRET=\*\*\*: must be 32 characters or more"):
        read_settings({"JWT_SECRET": "hunter2"})


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_former_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    with pytest.raises(SettingsError, match=f"{old}: renamed to {new}"):
        read_settings({old: "1"})
    assert read_settings({old: " "}) == Settings()


def test_former_names_and_bad_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as exc_info:
        read_settings({"SHOW_SEEN_ITEMS": "true", "API_PORT": "70000"})
    assert len(exc_info.value.problems) == 2


@pytest.mark.parametrize("value", ["auto", "TRUE", "no", "places=true,movies=false", "false, a b=on"])
def test_repeats_are_one_switch_or_one_for_each_category(value: str) -> None:
    assert read_settings({"ALLOW_REPEAT_ITEMS": value}).allow_repeat_items == value


@pytest.mark.parametrize("value", ["perhaps", "places=perhaps", "=true", "true,false", "places:true"])
def test_other_values_for_repeats_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"must be auto, true, false or categories as in places=true,movies=false"):
        read_settings({"ALLOW_REPEAT_ITEMS": value})


def test_a_server_inherits_no_setting() -> None:
    assert unset({"JWT_SECRET": "x" * 32, "PATH": "/bin"}) == {"PATH": "/bin"}


def test_settings_written_to_an_environment_read_the_same() -> None:
    settings = Settings(
        debug=True, millrace_home=Path("/data"), millrace_cache=Path("/cache"), redis_url="redis://x/0", kafka_port=1
    )
    assert read_settings(to_env(settings)) == settings


def test_a_path_is_handed_on_as_it_is_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert to_env(Settings())["MILLRACE_HOME"] == str(tmp_path / ".millrace")


def test_a_password_is_masked() -> None:
    assert masked("postgresql://me:secret@db:5432/x") == "postgresql://me:***@db:5432/x"
    assert masked("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


def test_keys_are_not_shown() -> None:
    keys = {"ANTHROPIC_API_KEY": "sk-one", "AWS_ACCESS_KEY_ID": "two", "AWS_SECRET_ACCESS_KEY": "three"}
    settings = read_settings(keys)
    assert settings.anthropic_api_key == "sk-one"
    assert not any(key in repr(settings) for key in keys.values())
