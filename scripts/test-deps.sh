#!/bin/sh
# Installs what the tests need beyond Go: the one list of it. Nothing to do: says nothing, exits 0 at once.
# Installs through apt where root or sudo allows; else says exactly what to install and fails.
set -eu

# One line per need: Debian package, then the test that it is there.
needs() {
	need gcc               have gcc # go test -race links through cgo
	need libc6-dev         test -e /usr/include/stdlib.h
	need git               have git
	need curl              have curl
	need postgresql        have_postgres
	need redis-server      have redis-server
	need prometheus        have promtool # for promtool
	need nginx             have_sbin nginx
	need haproxy           have_sbin haproxy
	need caddy             have caddy
	need nodejs            have node
	need npm               have npm
	need chromium          have chromium
}

have() { command -v "$1" >/dev/null 2>&1; }

have_sbin() { have "$1" || [ -x "/usr/sbin/$1" ]; }

# Debian keeps the server itself off PATH.
have_postgres() {
	have postgres && have initdb && return
	for bin in /usr/lib/postgresql/*/bin; do
		[ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && return
	done
	return 1
}

missing=
need() {
	package=$1
	shift
	"$@" || missing="$missing $package"
}

# The npm packages of the seed client and of the tests of the SDKs and of the portal, at the versions that their lock files say.
node_modules() {
	for folder in testdata/seedclient clients/js clients/dart/tool internal/browser; do
		client=$(dirname "$0")/../$folder
		if [ ! -e "$client/node_modules/.package-lock.json" ] || [ "$client/package-lock.json" -nt "$client/node_modules/.package-lock.json" ]; then
			echo "test-deps: npm ci in $folder" >&2
			npm ci --silent --ignore-scripts --no-audit --no-fund --prefix "$client"
		fi
	done
}

needs
[ -n "$missing" ] || { node_modules; exit 0; }

give_up() {
	echo "test-deps: the tests need$missing: $1" >&2
	echo "test-deps: on Debian or Ubuntu: apt-get install --no-install-recommends$missing" >&2
	exit 1
}

have apt-get || give_up "there is no apt-get here"
root=
if [ "$(id -u)" != 0 ]; then
	have sudo && sudo -n true 2>/dev/null || give_up "installing takes root, or sudo without a password"
	root=sudo
fi

# Debian's server packages start a service as they are installed. The tests start their own servers, so none may:
# policy-rc.d refuses the start (and is left alone where the machine has one), createcluster.conf the first cluster.
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
made=
restore() {
	for file in $made; do
		$root rm -f "$file"
	done
}
trap restore EXIT
trap 'exit 1' INT TERM
if [ ! -e $policy ]; then
	made="$made $policy"
	printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
	$root chmod 755 $policy
fi
if [ ! -e $cluster ]; then
	# Not taken away again: the package takes it for the operator's own and keeps it.
	$root mkdir -p "${cluster%/*}"
	echo "create_main_cluster = false" | $root tee $cluster >/dev/null
fi

echo "test-deps: installing$missing" >&2
$root apt-get update -q
# shellcheck disable=SC2086 # lists of words
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
	-o Dpkg::Options::=--force-confold $missing

# Nor may one start at the next boot.
if have systemctl; then
	for package in $missing; do
		case $package in
		postgresql | redis-server | nginx | haproxy | caddy) $root systemctl disable "$package" >/dev/null 2>&1 || true ;;
		esac
	done
fi

installed=$missing
missing=
needs
[ -z "$missing" ] || give_up "installing$installed did not bring them"
node_modules
