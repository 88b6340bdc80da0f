# Every attempt to get out, where capture starts at all.
portcullis doctor >/dev/null || exit 3
attack-table --json --guest
