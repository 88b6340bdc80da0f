# Starts the daemon with its defaults, and tries to get out of a workload of it. On a kernel that cannot hold one, the
# daemon must end by itself, which is status 3 here. What was not answered in time is asked again: an emulated processor
# is slow, and shared with others.
portcullis up 2>/tmp/daemon &
daemon=$!
tries=0
until portcullis prove --json 2>/dev/null >/tmp/proof || grep -q '"escaped": true' /tmp/proof || [ $tries -eq 5 ]; do
    [ -s /tmp/proof ] && tries=$((tries + 1))
    if ! kill -0 "$daemon" 2>/dev/null; then
        cat /tmp/daemon >&2
        exit 3
    fi
    sleep 1
done
cat /tmp/proof
kill "$daemon"
