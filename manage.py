#!/usr/bin/env python3
"""Every command of the ledger starts here: `manage.py help` lists them."""

import os
import sys

from django.core.management import execute_from_command_line

from ledger_site import env


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_site.settings")
    try:
        if sys.argv[1:2] == ["quickstart"]:
            env.local()  # before the settings are read, and inherited by the server it starts
        execute_from_command_line(sys.argv)
    except env.SettingError as error:
        sys.exit(f"设置有误，未启动：{error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it; where a command was interrupted is of no interest


if __name__ == "__main__":
    main()
