"""All settings. What differs between places comes from the environment, through env.py.

The README's table lists every variable. With none set, the system is safe to face a network, and
does not start without a secret key.
"""

from datetime import timedelta

from csp.constants import NONE, SELF

from ledger_site import env, logs

BASE_DIR = env.BASE_DIR
DATA_DIR = env.folder("DATA_DIR", default=BASE_DIR / "var")

# Where it runs

SECRET_KEY = env.secret_key(
    "SECRET_KEY", file_name="SECRET_KEY_FILE", default_file=DATA_DIR / "secret_key"
)
DEBUG = env.flag("DEBUG", default=False)
DEMO = env.flag("DEMO", default=False)  # marks every page: 演示环境，数据均为虚构
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
DATABASES = env.databases(
    "DATABASE_URL",
    default_file=DATA_DIR / "ledger.sqlite3",
    replica_name="DATABASE_REPLICA_URL",
)
DATABASE_ROUTERS = ["ledger_site.base.replica.Router"]

# Long work: asked for by pages, done by `manage.py worker`
JOBS_DIR = DATA_DIR / "jobs"  # results, outside static files
UPLOADS_DIR = DATA_DIR / "uploads"  # ledgers that were sent, until they are deleted
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# Operation
BACKUP_DIR = env.folder("BACKUP_DIR") if env.text("BACKUP_DIR") else None  # None: none at night
BACKUPS_KEPT = env.number("BACKUPS_KEPT", default=14, lowest=1, highest=3650)
# Whoever may read /readyz and /metrics; a proxy in front passes neither on.
MONITOR_CIDRS = env.networks("MONITOR_CIDRS", default="127.0.0.0/8,::1/128")
METRICS_DIR = env.text("PROMETHEUS_MULTIPROC_DIR")  # where the processes of a node meet
LEAST_FREE = 1 << 30  # bytes on the disk of DATA_DIR, below which a node is not ready

# Application

INSTALLED_APPS = [
    "ledger_site",
    "ledger_site.base",
    "django_tasks",
    "django_tasks_db",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "orgs",
    "ledger_site.jobs",
    "ratings",
    "rectification",
    "audits",
    "mptt",
    "import_export",
    "django_htmx",
    "django_prometheus",
    "csp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",  # runserver serves static files as production does
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "ledger_site.middleware.RequestNumberMiddleware",
    # Above everything that may answer by itself, so that its error pages carry the policy too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "ledger_site.middleware.GuardMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "ledger_site.middleware.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "orgs.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "ledger_site.middleware.NoStoreMiddleware",
    "orgs.middleware.PostMiddleware",
    "ledger_site.middleware.RateMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "ledger_site.urls"
WSGI_APPLICATION = "ledger_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ledger_site.context.site",
            ],
        },
    },
]

# Users

AUTH_USER_MODEL = "orgs.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "desk"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = [
    "orgs.signing_in.LockingBackend",  # before the others: it refuses whoever is locked
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "orgs.passwords.LongEnough",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "orgs.passwords.ThreeOfFourKinds"},
    {"NAME": "orgs.passwords.NotTheName"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "orgs.passwords.NotAFormerOne"},
]
# Hashes of the other kind still open the account, and are made anew when they do.
PASSWORD_HASHERS = env.hashers("PASSWORD_HASHER")
PASSWORD_DAYS = env.number("PASSWORD_DAYS", default=90, lowest=0, highest=3650)
IDLE_MINUTES = env.number("IDLE_MINUTES", default=30, lowest=1, highest=720)
ADMIN_IDLE_MINUTES = env.number("ADMIN_IDLE_MINUTES", default=15, lowest=1, highest=720)
# Who has to use 动态口令: administrators, departments (units above committees).
TOTP_FOR = env.choices(
    "TOTP_FOR", among=("administrators", "departments"), default=("administrators",)
)
OTP_TOTP_ISSUER = "基层台账"

# By account and never by address: a county sits behind one. From a browser that the person has
# signed in with before, failures are counted apart, so that a stranger's lock nobody out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=30)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_USERNAME_CALLABLE = "orgs.signing_in.counted_name"
AXES_LOCKOUT_CALLABLE = "orgs.signing_in.answer_of_locked"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has it
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Security

HTTPS_ONLY = env.flag("HTTPS_ONLY", default=True)
SECURE_SSL_REDIRECT = HTTPS_ONLY
# Monitoring asks the nodes themselves, behind whoever ends HTTPS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS_ONLY else 0
# Neither subdomains nor browsers' preload lists: other names under the host may belong to others.
# And sign-ins are counted by account, on purpose.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021", "axes.W006"]
# A header that anyone can send, unless a proxy in front takes away what came with the request.
TRUST_PROXY_HEADER = env.flag("TRUST_PROXY_HEADER", default=False)
if TRUST_PROXY_HEADER:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Who finds /admin and the page of 安全管理员: by default the networks that no stranger is in.
ADMIN_ALLOWED_CIDRS = env.networks(
    "ADMIN_ALLOWED_CIDRS",
    default="127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
)
# In ten minutes; 0 is without a limit. A sign-in of a browser that is not known yet counts by
# address, and a whole city may have one.
RATE_LIMITS = {
    "sign_in": env.number("SIGN_IN_LIMIT", default=1200, lowest=0, highest=1_000_000),
    "upload": env.number("UPLOAD_LIMIT", default=120, lowest=0, highest=1_000_000),
    "export": env.number("EXPORT_LIMIT", default=120, lowest=0, highest=1_000_000),
    "search": env.number("SEARCH_LIMIT", default=600, lowest=0, highest=1_000_000),
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"  # not "no-referrer": CSRF protection reads it under HTTPS
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # data: is for the small pictures of form fields in CSS
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    },
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# Offices share computers: gone with the browser window, and after a working day in any case.
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 12 * 3600
CSRF_FAILURE_VIEW = "ledger_site.errors.csrf_failure"

# A grid of 80 branches has some 30 fields each; Chinese takes nine bytes a character in a form.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024

# Files that people send: what one may hold, and what looking into it may take.
ATTACHMENTS_DIR = DATA_DIR / "attachments"  # kept for ever, under names of their own
# A file that somebody sends is read by a worker, and refused while it arrives where it is larger.
MOST_UPLOADED = 10 << 20  # bytes
MOST_SENT = 30 << 20  # of a request; what is larger is not read at all
FILE_UPLOAD_HANDLERS = [
    "ledger_site.base.uploading.Limited",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
READING_LIMITS = {
    "most_rows": 2_000_000,  # of a command; rows pass by, none is kept
    "most_bytes": 1 << 30,
    "most_unpacked": 2 << 30,  # bytes; a province's rows are 0.4 GB of XML
    "most_memory": 1 << 30,  # bytes
    "most_seconds": 120,
}
UPLOAD_LIMITS = READING_LIMITS | {
    "most_rows": 5000,
    "most_bytes": MOST_UPLOADED,
    "most_unpacked": 200 << 20,
    "most_memory": 512 << 20,
    "most_seconds": 60,
}
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
# Of workbooks, 1 (quick) to 6 (small).
XLSX_COMPRESSION = env.number("XLSX_COMPRESSION", default=1, lowest=1, highest=6)

# Language and time

LANGUAGE_CODE = "zh-hans"
LOCALE_PATHS = [BASE_DIR / "locale"]  # what the packages leave in English
TIME_ZONE = "Asia/Shanghai"
USE_I18N = True
USE_TZ = True

# The audit trail: what proves it, by which digest, and for how many days it stays in the database.
AUDIT_KEYS = env.audit_keys("AUDIT_KEY", file_name="AUDIT_KEY_FILE", secret_key=SECRET_KEY)
AUDIT_DIGEST = env.digest("AUDIT_DIGEST", default="sha256")
AUDIT_KEPT_DAYS = env.number("AUDIT_KEPT_DAYS", default=1096, lowest=184, highest=36_500)

# Static files

STATIC_URL = "static/"
# The pictures of the help lie where the documents of the repository show them.
STATICFILES_DIRS = [BASE_DIR / "static", ("help", BASE_DIR / "docs/images")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "ledger_site.static.VersionedStaticFilesStorage"},
}
# Straight from where they lie: there is no collectstatic to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0 if DEBUG else 3600
WHITENOISE_ALLOW_ALL_ORIGINS = False

# Log

LOGGING = logs.from_environment()
