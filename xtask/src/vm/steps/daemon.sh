# Starts the daemon with its defaults, and tries to get out of a workload of it. On a kernel that cannot hold one, the
# daemon must end by itself, which is status 3 here.
portcullis up 2>/tmp/daemon &
daemon=$!
until portcullis prove --json 2>/dev/null >/tmp/proof || [ -s /tmp/proof ]; do
    if ! kill -0 "$daemon" 2>/dev/null; then
        cat /tmp/daemon >&2
        exit 3
    fi
    sleep 1
done
cat /tmp/proof
kill "$daemon"
