"""pgAdmin for one person on a desktop, with everything that it keeps in the folder that it runs in."""

import os

SERVER_MODE = False
MASTER_PASSWORD_REQUIRED = False
USE_OS_SECRET_STORAGE = False
WTF_CSRF_ENABLED = False
UPGRADE_CHECK_ENABLED = False
CONSOLE_LOG_LEVEL = 40
DATA_DIR = os.path.abspath("data")
LOG_FILE = os.path.join(DATA_DIR, "log")
SQLITE_PATH = os.path.join(DATA_DIR, "pgadmin.db")
SESSION_DB_PATH = os.path.join(DATA_DIR, "sessions")
STORAGE_DIR = os.path.join(DATA_DIR, "storage")
AZURE_CREDENTIAL_CACHE_DIR = os.path.join(DATA_DIR, "azure")
KERBEROS_CCACHE_DIR = os.path.join(DATA_DIR, "kerberos")
