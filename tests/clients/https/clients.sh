# Asks a server by every client that is there: `clients.sh PORT CACHE`. Each asks the path of its own name; what a client
# says is shown, and whether it was heard is the server's to tell.

port=$1 cache=$2 here=$(dirname "$0")
at=https://localhost:$port

# A connect before the server listens would go to the gate.
for _ in $(seq 100); do
    if [ -e listening ]; then break; fi
    sleep 0.1
done

say() {
    echo "== $1"
    shift
    timeout 60 "$@" </dev/null 2>&1 | tail -3
}

say curl curl -sS "$at/curl"
say wget wget -q --tries=1 -O- "$at/wget"
say git git ls-remote "$at/git"
say gnutls bash -c "printf 'GET /gnutls HTTP/1.0\r\n\r\n' | gnutls-cli --port $port localhost"
say openssl bash -c "printf 'GET /openssl HTTP/1.0\r\n\r\n' |
    openssl s_client -quiet -verify_return_error -verify_hostname localhost -connect localhost:$port"
say python /usr/bin/python3 -c "import urllib.request as u; print(u.urlopen('$at/python').read())"
say requests "$cache/venv/bin/python" -c "import requests; print(requests.get('$at/requests').text)"
say httpx "$cache/venv/bin/python" -c "import httpx; print(httpx.get('$at/httpx').text)"
say pip "$cache/venv/bin/python" -m pip --disable-pip-version-check download --retries 0 --index-url "$at/pip" nothing
say uv "$cache/venv/bin/uv" --no-cache pip install --dry-run --python "$cache/venv/bin/python" --index-url "$at/uv" nothing
say uv-native "$cache/venv/bin/uv" --no-cache --native-tls pip install --dry-run --python "$cache/venv/bin/python" --index-url "$at/uv-native" nothing
say node node -e "fetch('$at/node').then(a => a.text()).then(console.log)"
say npm npm view nothing --registry "$at/npm" --cache "${TMPDIR:-/tmp}/npm" --fetch-retries 0
say deno "$cache/deno/node_modules/@deno/linux-x64-glibc/deno" eval "console.log(await (await fetch('$at/deno')).text())"
say java java "$here/Get.java" "$at/java"
if [ -x "$cache/go/client" ]; then say go "$cache/go/client" "$at/go"; fi
true
