"""Reads the environment for settings.py, and nothing else does.

An unset or empty variable means the value that is safe in production; a bad one stops the start-up
with a Chinese sentence that names the variable. Values are not repeated where they may hold a
password. What was asked for is noted in `NAMES`, which a test holds against the README's table.
"""

import hashlib
import hmac
import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

NAMES = set()

_env = environ.Env()

_YES = {"true", "1", "yes", "on"}
_NO = {"false", "0", "no", "off"}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LOOPBACK = "localhost,127.0.0.1,[::1]"

# Readers go on while one process writes (WAL, with the sync mode made for it). A transaction asks
# for the write lock at its start, where waiting is possible; upgrading a read lock later fails.
_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,  # seconds
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON",
}

# A server that is gone without a word is given up after seconds; the system would wait minutes.
_POSTGRESQL_OPTIONS = {"connect_timeout": 5, "tcp_user_timeout": 20_000}  # seconds, milliseconds


class SettingError(ImproperlyConfigured):
    """A setting that the system must not start with; the text is for the administrator."""


def text(name: str) -> str:
    """The value without blanks around it, "" if unset."""
    NAMES.add(name)
    return _env.str(name, default="").strip()


def flag(name: str, *, default: bool) -> bool:
    # Not `_env.bool`: it takes every word that it does not know for false.
    value = text(name).lower()
    if value and value not in _YES | _NO:
        raise SettingError(f"{name} 只能写 true 或 false，现在是“{value}”。")
    return value in _YES if value else default


def number(name: str, *, default: int, lowest: int, highest: int) -> int:
    value = text(name) or str(default)
    if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
        raise SettingError(f"{name} 要写 {lowest} 到 {highest} 的整数，现在是“{value}”。")
    return int(value)


def parts(name: str) -> list[str]:
    """A list with commas between, without empty parts."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def choices(name: str, *, among: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """Words of a list; `none` is the empty one."""
    found = parts(name)
    if not found:
        return default
    if found == ["none"]:
        return ()
    if not set(found) <= set(among):
        raise SettingError(
            f"{name} 只能写 {'、'.join(among)}（多个用逗号分开）或 none，现在是“{text(name)}”。"
        )
    return tuple(found)


def hosts(name: str) -> list[str]:
    for host in parts(name):
        if "/" in host or " " in host:
            raise SettingError(
                f"{name} 只写主机名（如 ledger.example.gov.cn），多个用逗号分开，"
                f"不写 https:// 和路径，现在有“{host}”。"
            )
    return parts(name)


def origins(name: str) -> list[str]:
    for origin in parts(name):
        url = urlsplit(origin)
        if url.scheme not in {"http", "https"} or not url.netloc or url.path:
            raise SettingError(
                f"{name} 要写协议和主机名（如 https://ledger.example.gov.cn），"
                f"多个用逗号分开，现在有“{origin}”。"
            )
    return parts(name)


def log_level(name: str) -> str:
    value = text(name).upper() or "INFO"
    if value not in _LOG_LEVELS:
        raise SettingError(f"{name} 只能是 {'、'.join(_LOG_LEVELS)} 之一，现在是“{value}”。")
    return value


def networks(name: str, *, default: str = "") -> list[IPv4Network | IPv6Network]:
    """Networks with commas between, as 10.1.0.0/24 or 2001:db8::/32."""
    found = []
    for part in parts(name) or default.split(","):
        try:
            found.append(ip_network(part))
        except ValueError:
            raise SettingError(
                f"{name} 要写网段（如 10.1.0.0/24、2001:db8::/32），"
                f"多个用逗号分开，现在有“{part}”。"
            ) from None
    return found


def folder(name: str, *, default: Path | str = "") -> Path:
    """A folder that exists from now on; a relative one counts from the project's."""
    path = BASE_DIR / (text(name) or default)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"{name} 的文件夹 {path} 不能建立：{error.strerror}。") from error
    return path


def secret_key(name: str, *, file_name: str, default_file: Path) -> str:
    """The key itself, or what its file holds. No default: a known key opens every session."""
    key, path = text(name), text(file_name)
    if key:
        return key
    if not path and not default_file.exists():
        raise SettingError(
            f"没有设置 {name}，也没有密钥文件。请设置 {name}（50 个以上随机字符）"
            f"或 {file_name}；在本机试用请运行 script/server，会自动生成密钥文件。"
        )
    file = BASE_DIR / (path or default_file)
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file_name} 的密钥文件 {file} 不能读取。") from error
    if not key:
        raise SettingError(f"{file_name} 的密钥文件 {file} 是空的。")
    return key


def audit_keys(name: str, *, file_name: str, secret_key: str) -> list[bytes]:
    """Keys of the audit trail, one a line: the first is used, the others were in use before.

    The word SECRET_KEY stands for the key that follows from it, which is the only one where none is
    set.
    """
    written, path = text(name), text(file_name)
    if not written and path:
        file = BASE_DIR / path
        try:
            written = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{file_name} 的密钥文件 {file} 不能读取。") from error
        if not written:
            raise SettingError(f"{file_name} 的密钥文件 {file} 是空的。")
    keys = []
    for line in (written or "SECRET_KEY").split():
        if line == "SECRET_KEY":
            keys.append(hmac.digest(secret_key.encode(), b"audit trail", "sha256"))
        elif len(line) < 32:
            source = name if text(name) else file_name
            raise SettingError(f"{source} 的每个密钥至少 32 个字符，一行一个。")
        else:
            keys.append(line.encode())
    return keys


def digest(name: str, *, default: str) -> str:
    """A digest that Python on this machine has."""
    value = text(name).lower() or default
    if value not in {"sha256", "sm3"}:
        raise SettingError(f"{name} 只能写 sha256 或 sm3，现在是“{value}”。")
    try:
        hashlib.new(value)
    except ValueError as error:
        raise SettingError(
            f"{name}：本机的 Python（OpenSSL）没有 {value}，请改用 sha256。"
        ) from error
    return value


def hashers(name: str) -> list[str]:
    """Django's list: the first makes new hashes, with the others old ones are read."""
    value = digest(name, default="sha256")
    kinds = {
        "sm3": "orgs.passwords.SM3PasswordHasher",
        "sha256": "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    }
    return sorted(kinds.values(), key=lambda kind: kind != kinds[value])


def one_of(name: str, *, among: tuple[str, ...]) -> str:
    """One of these words, the first unless set."""
    value = text(name).lower() or among[0]
    if value not in among:
        raise SettingError(f"{name} 只能写 {' 或 '.join(among)}，现在是“{value}”。")
    return value


def database(name: str, *, default_file: Path) -> dict:
    """Django's entry for one database."""
    url = text(name)
    scheme = url.partition(":")[0]
    if url and scheme not in {"sqlite", "postgres", "postgresql"}:
        raise SettingError(f"{name} 要以 sqlite:/// 或 postgresql:// 开头。")
    try:
        entry = _env.db_url_config(url or f"sqlite:///{default_file}")
    except ValueError as error:  # its text may show the password
        raise SettingError(f"{name} 不是有效的数据库地址，请检查端口和特殊字符。") from error
    if not entry["NAME"]:
        raise SettingError(f"{name} 缺少数据库名。")

    if scheme in {"postgres", "postgresql"}:
        options = _POSTGRESQL_OPTIONS | entry.get("OPTIONS", {})
        # A connection is kept for a minute, and asked whether it still lives before it is used.
        return {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True} | entry | {"OPTIONS": options}
    if entry["NAME"] != ":memory:":
        entry["NAME"] = BASE_DIR / entry["NAME"]
    # Tests get a file too: connections to a database in memory share one cache and lock otherwise.
    test = {"NAME": default_file.with_name("test.sqlite3")}
    return entry | {"OPTIONS": _SQLITE_OPTIONS | entry.get("OPTIONS", {}), "TEST": test}


def databases(name: str, *, default_file: Path, replica_name: str) -> dict[str, dict]:
    """The primary as `default`, and `replica` where one is named: a copy by streaming, to read."""
    found = {"default": database(name, default_file=default_file)}
    if text(replica_name):
        found["replica"] = database(replica_name, default_file=default_file)
        if any("postgresql" not in entry["ENGINE"] for entry in found.values()):
            raise SettingError(f"{replica_name} 要与 {name} 同时使用 PostgreSQL。")
    return found


def of_child(**changed: str) -> dict[str, str]:
    """The environment for a program that we start."""
    return os.environ | changed


def local() -> None:
    """Set the environment of `quickstart`: a demo on this machine alone, without HTTPS.

    The key lies in a file, so that the other commands find it afterwards.
    """
    os.environ |= {
        "DEBUG": "false",
        "DEMO": "true",
        "HTTPS_ONLY": "false",
        "ALLOWED_HOSTS": _LOOPBACK,
        "CSRF_TRUSTED_ORIGINS": "",
        "TRUST_PROXY_HEADER": "false",
        # The password of the demo is on its sign-in page.
        "PASSWORD_DAYS": "0",
        "TOTP_FOR": "none",
        "LOG_FORMAT": "line",
    }
    if text("SECRET_KEY") or text("SECRET_KEY_FILE"):
        return
    file = folder("DATA_DIR", default=BASE_DIR / "var") / "secret_key"
    try:
        # A file that only its owner can read from the first moment, and never a second key.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise SettingError(f"密钥文件 {file} 不能建立：{error.strerror}。") from error
    with open(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(64) + "\n")
