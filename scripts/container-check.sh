#!/usr/bin/env bash
# Builds the image without a Docker engine, runs it, and looks at it from outside. See docs/containers.md.
#
#   sudo scripts/container-check.sh                      on a base made here from Debian and Node 24
#   sudo NODE_IMAGE=… scripts/container-check.sh         on an image that buildah can pull
#
# Needs root, buildah, curl and, without NODE_IMAGE, debootstrap and npm. WORK (default: a folder under /var/tmp)
# keeps the base between runs.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=${WORK:-/var/tmp/bing-gateway-container-check}
PORT=${PORT:-17860}
NODE_MAJOR=${NODE_MAJOR:-24}
NAME=bing-gateway-check
RUN=$(mktemp -d)
container=
runner=
passed=0
failed=0

# No engine, no daemon and no kernel driver: this works inside another container too.
buildah() { command buildah --root "$WORK/storage" --runroot "$RUN/storage" --storage-driver vfs "$@"; }
say() { printf '\n== %s\n' "$*"; }
check() {
  local title=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok   $title"
  else
    failed=$((failed + 1))
    echo "FAIL $title"
  fi
}
finish() {
  local status=$?
  if [ -n "$runner" ] && kill -0 "$runner" 2>/dev/null; then kill "$runner" 2>/dev/null || true; fi
  if [ -n "$container" ]; then
    buildah umount "$container" >/dev/null 2>&1 || true
    buildah rm "$container" >/dev/null 2>&1 || true
    buildah rmi "$NAME" >/dev/null 2>&1 || true
  fi
  rm -rf "$RUN"
  exit "$status"
}
trap finish EXIT

for tool in buildah curl ${NODE_IMAGE:-debootstrap npm}; do
  case $tool in
    */* | *:*) continue ;;
  esac
  command -v "$tool" >/dev/null || {
    echo "container-check needs $tool: apt-get install buildah debootstrap curl" >&2
    exit 2
  }
done
[ "$(id -u)" = 0 ] || {
  echo 'container-check needs root' >&2
  exit 2
}
mkdir -p "$WORK"

if [ -z "${NODE_IMAGE:-}" ]; then
  NODE_IMAGE=localhost/node-base:$NODE_MAJOR
  if ! buildah inspect --type image "$NODE_IMAGE" >/dev/null 2>&1; then
    say "base: Debian bookworm and Node $NODE_MAJOR"
    rootfs=$WORK/rootfs
    rm -rf "$rootfs"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$rootfs" >"$WORK/debootstrap.log"
    mkdir -p "$RUN/node"
    (cd "$RUN/node" && npm init -y >/dev/null && npm install --no-fund --no-audit "node@$NODE_MAJOR" >/dev/null)
    node=$(find "$RUN/node/node_modules" -type f -path '*/bin/node' -size +10M -print -quit)
    install -m 755 "$node" "$rootfs/usr/local/bin/node"
    mkdir -p "$rootfs/usr/local/lib/node_modules"
    cp -a "$(npm root -g)/npm" "$rootfs/usr/local/lib/node_modules/npm"
    ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$rootfs/usr/local/bin/npm"
    # The machine's own certificates, for networks that have their own authority.
    cp -L /etc/ssl/certs/ca-certificates.crt "$rootfs/etc/ssl/certs/ca-certificates.crt"
    base=$(buildah from scratch)
    buildah copy --quiet "$base" "$rootfs" / >/dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$base"
    buildah commit --quiet --rm "$base" "$NODE_IMAGE" >/dev/null
    rm -rf "$rootfs"
  fi
fi

say "build on $NODE_IMAGE"
buildah bud --isolation chroot --format docker --pull-never --layers=false \
  --build-arg "NODE_IMAGE=$NODE_IMAGE" -t "$NAME" . >"$RUN/build.log" 2>&1 || {
  tail -60 "$RUN/build.log"
  exit 1
}
grep -E 'STEP|added' "$RUN/build.log" | tail -30

image() { buildah inspect --type image --format "{{$1}}" "$NAME"; }
check 'the image names a user that is not root' test "$(image .Docker.Config.User)" = 10001:10001
check 'the command is node itself, without a shell' test "$(image .Docker.Config.Cmd)" = '[node dist/bin/bing-gateway.js serve]'
check 'the data folder is a volume' grep -q /data <<<"$(image .Docker.Config.Volumes)"
check 'there is a health check' grep -q livez <<<"$(image .Docker.Config.Healthcheck.Test)"

container=$(buildah from --pull-never "$NAME")
root=$(buildah mount "$container")
echo "     /app is $(du -sh "$root/app" | cut -f1)"
check 'no development dependency is in it' test ! -e "$root/app/node_modules/typescript" -a ! -e "$root/app/node_modules/tap"
check 'no source, test, list or setting is in it' test "$(ls -A "$root/app" | sort | xargs)" = 'LICENSE dist node_modules package.json'

say "run on port $PORT"
touch "$RUN/started"
buildah run --isolation chroot --env "PORT=$PORT" "$container" -- node dist/bin/bing-gateway.js serve \
  >"$RUN/log" 2>&1 &
runner=$!
base=http://127.0.0.1:$PORT
for _ in $(seq 100); do
  grep -q 'Server listening at' "$RUN/log" && break
  kill -0 "$runner" 2>/dev/null || break
  sleep 0.2
done
grep -h 'Server listening at' "$RUN/log" || cat "$RUN/log"

status() { curl -s -o "$RUN/body" -w '%{http_code}' "$@"; }
check 'GET /livez is 200' test "$(status "$base/livez")" = 200
check 'GET /readyz is 200' test "$(status "$base/readyz")" = 200
check 'a missing cookie is degraded' grep -q '"status":"degraded"' "$RUN/body"
check 'POST /create/image without a name is 401' \
  test "$(status -X POST -H 'content-type: application/json' -d '{"query":"a fox"}' "$base/create/image")" = 401
check 'and says so in the documented form' grep -q '"type":"auth_error"' "$RUN/body"
check 'POST /create_conversation with an unlisted name is 403' \
  test "$(status -X POST -H 'content-type: application/json' -d '{"userId":"nobody"}' "$base/create_conversation")" = 403
check 'GET /docs is served' test "$(status -L "$base/docs")" = 200

# There is no process namespace here, so the log's pid is a pid of this machine.
pid=$(sed -n 's/.*"pid":\([0-9]*\).*Server listening at.*/\1/p' "$RUN/log" | head -1)
check 'the process is ours' grep -q 'dist/bin/bing-gateway.js' "/proc/${pid:-0}/cmdline"
check 'it runs as user 10001' test "$(awk '/^Uid:/ { print $2 }' "/proc/${pid:-0}/status" 2>/dev/null)" = 10001
health=$(buildah inspect --type image --format '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' "$NAME" | tail -n +4)
healthy() { buildah run --isolation chroot --env "PORT=$1" "$container" -- node -e "$health" >/dev/null 2>&1; }
unhealthy() { ! healthy "$1"; }
check 'the health check passes' healthy "$PORT"
check 'the health check fails where nothing listens' unhealthy 1
written=$(find "$root" -xdev -newer "$RUN/started" -type f \
  -not -path "$root/data/*" -not -path "$root/tmp/*" -not -path "$root/proc/*" -not -path "$root/sys/*" \
  -not -path "$root/dev/*" -not -path "$root/etc/*" -not -path "$root/run/*" | head -5)
check "nothing is written outside /data and /tmp: a read-only root works ${written}" test -z "$written"

say 'stop'
kill -TERM "$pid"
code=0
wait "$runner" || code=$?
runner=
check "SIGTERM ends it with status 0 (was $code)" test "$code" = 0
check 'it said goodbye' grep -q '"msg":"stopped"' "$RUN/log"
check 'it listens no more' bash -c "! curl -s -o /dev/null '$base/livez'"

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
