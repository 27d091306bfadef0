#!/usr/bin/env bash
# The chart on a real Kubernetes: the image built twice, an install with its own Redis and Postgres, clients through the
# ingress, and nodes that come and go under a load that loses nothing. Stops at the first step that fails.
#
#   make e2e-k8s                      # the rig brings up the cluster, and takes it down again
#   K8S_RIG=/path/to/k8s-rig KEEP=1 make e2e-k8s      # ... from there, and it stays up to be looked at
#
# It needs what the rig needs: root, Debian 12, Go. RATE is how many messages a second the load publishes, and LOAD for how
# long each time: it must outlast the change that it watches.
set -euo pipefail
cd "$(dirname "$0")/.."
rig=${K8S_RIG:-../shared/k8s-rig}
rate=${RATE:-100} load=${LOAD:-150s}
[ -x "$rig/up" ] || { echo "e2e-k8s: there is no rig at $rig: set K8S_RIG" >&2; exit 1; }
rig=$(cd "$rig" && pwd)

release=fp namespace=fastport host=localhost chart=charts/fastport
tmp=$(mktemp -d)
commit=$(git rev-parse HEAD)
version=$(git describe --tags --always --dirty)
steps=0

# step WHAT COMMAND …: runs it, and tells what it said where it fails.
step() {
	local what=$1 begun=$SECONDS
	shift
	# In a shell of its own with -e, which `if` and `||` would switch off.
	set +e
	(set -e; trap 'jobs -p | xargs --no-run-if-empty kill' EXIT; "$@") >"$tmp/said" 2>&1
	local status=$?
	set -e
	if [ "$status" -ne 0 ]; then
		printf 'FAIL  %s (%d s)\n' "$what" $((SECONDS - begun))
		sed 's/^/      /' "$tmp/said"
		exit 1
	fi
	steps=$((steps + 1))
	printf 'ok    %s (%d s)\n' "$what" $((SECONDS - begun))
	sed -n 's/^e2e: /        /p' "$tmp/said" # what a step has to report
}

finish() {
	local status=$?
	trap - EXIT
	if [ "$status" -ne 0 ] && [ -n "${KUBECONFIG:-}" ]; then
		{
			k get pods --output wide
			k get events --sort-by=.lastTimestamp | tail -20
			for pod in $(k get pods --selector app.kubernetes.io/component=node --output name); do
				echo "--- $pod" && k logs "$pod" --all-containers --tail 20
			done
		} 2>&1 | sed 's/^/      /'
	fi
	[ -n "${KEEP:-}" ] || "$rig/down" >/dev/null 2>&1 || true
	rm -rf "$tmp"
	exit "$status"
}
trap finish EXIT

k() { kubectl --namespace $namespace "$@"; }
h() { helm --namespace $namespace "$@"; }

# until_ SECONDS COMMAND …
until_() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "gave up on: $*" && "$@"; }
		sleep 1
	done
}

nodes() { k get pods --selector app.kubernetes.io/component=node --output name | wc -l; }
nodes_are() { [ "$(nodes)" = "$1" ]; }
ready_are() { [ "$(k get deployment $release-fastport --output 'jsonpath={.status.readyReplicas}')" = "$1" ]; }

### The image.

# image TAG: builds it with no layer kept, and says its digest: that of its configuration, which names every layer's. In
# OCI's form, for in Docker's own buildah writes the random names of its containers.
image() {
	local tag=$1
	RIG_TAR=$tmp/$tag.tar "$rig/build-image" "fastport:$tag" . --no-cache --layers=false --format oci \
		--timestamp "$(git log -1 --format=%ct)" --build-arg "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)" \
		--build-arg "VERSION=$version" --build-arg "COMMIT=$commit"
	tar --extract --to-stdout --file "$tmp/$tag.tar" manifest.json | grep -o '"Config":"[0-9a-f]*' | cut -d'"' -f4 >"$tmp/$tag.digest"
	[ -s "$tmp/$tag.digest" ]
}
# The rig keeps what Go has compiled from one build to the next. With -a among Go's flags, which RIG_JOBS is the end of,
# nothing of it is taken: else the second build would only show that copies are alike.
image_again() { RIG_JOBS="2 -a" image second; }
one_digest() {
	echo "e2e: sha256:$(cat "$tmp/first.digest")"
	cmp "$tmp/first.digest" "$tmp/second.digest"
}
loaded() { "$rig/load-image" --quiet "$tmp/first.tar" "$tmp/second.tar"; }

### The chart.

# What an earlier run may have left, with KEEP.
fresh() {
	h uninstall $release --ignore-not-found --wait --timeout 2m
	kubectl delete namespace $namespace monitoring --ignore-not-found --timeout 3m
}
# The API server judges what each set of values of the tests makes, without making it.
judged() {
	local set kube # what the cluster is: helm, asked for a rendering alone, does not look
	kube=$(kubectl get --raw /version | grep -o '"gitVersion": "[^"]*' | cut -d'"' -f4)
	k create namespace $namespace --dry-run=client --output yaml | kubectl apply --filename -
	kubectl label --overwrite namespace $namespace pod-security.kubernetes.io/enforce=restricted
	until_ 30 k get serviceaccount default # no pod is taken before
	for set in charts/testdata/*.yaml; do
		case $set in *_test.yaml) continue ;; esac
		helm template judged $chart --kube-version "$kube" --namespace $namespace --values "$set" | k apply --dry-run=server --filename - >"$tmp/judged"
		echo "e2e: $(basename "$set" .yaml): $(wc -l <"$tmp/judged") objects"
	done
	k apply --dry-run=server --filename k8s/fastport.yaml --filename k8s/redis-postgres.yaml
}
values=(--set image.repository=fastport --set ingress.enabled=true --set "ingress.hosts={$host}"
	--set resources.requests.cpu=100m --set postgres.storage=1Gi)
install() { h install $release $chart "${values[@]}" --set image.tag=first --wait --timeout 5m; }
tested() { h test $release --logs --timeout 3m; }
version_is() {
	k exec deployment/$release-fastport --container fastport -- /usr/bin/fastport version | grep -F "fastport $version"
	k exec deployment/$release-fastport --container fastport -- /usr/bin/fastport healthcheck
	echo "e2e: $version"
}
secret() { k get secret $release-fastport --output "go-template={{ .data.$1 | base64decode }}"; }

### Clients, through the ingress.

talks() {
	local cli=$tmp/bin/fastport
	$cli session create e2e --save
	$cli sub e2e chat >"$tmp/heard" 2>"$tmp/sub.said" &
	local sub=$!
	until_ 30 grep -q "subscribed to" "$tmp/sub.said"
	$cli pub e2e chat "through the ingress"
	until_ 30 grep -F "through the ingress" "$tmp/heard"
	kill -INT $sub
	wait $sub || true
	head -c 3000000 /dev/urandom >"$tmp/file.bin"
	mkdir -p "$tmp/inbox"
	$cli recv e2e files --dir "$tmp/inbox" >"$tmp/recv.said" 2>&1 &
	local recv=$!
	until_ 30 grep -q "receiving files" "$tmp/recv.said"
	$cli send e2e files "$tmp/file.bin"
	until_ 30 cmp "$tmp/file.bin" "$tmp/inbox/file.bin"
	kill -INT $recv
	wait $recv || true
	$cli session drop e2e
}

get() { curl --silent --show-error --fail --max-time 10 "$FASTPORT_URL$1" "${@:2}"; }
portal() {
	get /admin --location | grep -qi "<html"
	local token path
	token=$(get /api/admin/login --json "{\"username\":\"admin\",\"password\":\"$FASTPORT_ADMIN_PASS\"}" | grep -o '"token":"[^"]*' | cut -d'"' -f4)
	get /api/admin/stats --header "Authorization: Bearer $token" >"$tmp/stats"
	[ "$(grep -o '"ready":true' "$tmp/stats" | wc -l)" = "$(nodes)" ]
	# Its live figures come as they are, held back by no proxy. The stream ends by the time that it is given.
	get "/api/admin/events?view=overview" --header "Authorization: Bearer $token" --max-time 10 >"$tmp/events" || [ $? = 28 ]
	grep -q "^event: stats" "$tmp/events"
	# What is for operators is not here.
	for path in /metrics /healthz /readyz /debug/pprof/; do
		[ "$(curl --silent --output /dev/null --write-out '%{http_code}' "$FASTPORT_URL$path")" = 404 ]
	done
}

### Prometheus.

query() { kubectl get --raw "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query=$1"; }
query_is() { query "$1" | grep -qF "\"$2\"]}]"; }
scraped() {
	kubectl apply --filename "$rig/manifests/prometheus.yaml"
	kubectl --namespace monitoring rollout status deployment/prometheus --timeout 2m
	until_ 60 query_is "count(up%7Bnamespace=%22$namespace%22%7D==1)" "$(nodes)"
	until_ 60 query_is "count(fastport_ready%7Bnamespace=%22$namespace%22%7D==1)" "$(nodes)"
	echo "e2e: up is 1, and fastport_ready, for each of $(nodes) pods"
}

### Nodes that come and go.

# under_load COMMAND …: runs it while verify publishes, which must outlast it and find every promise kept. Nodes that go
# are what clients of version 1 notice, so what is allowed then is; a lost message never is.
under_load() {
	"$tmp/bin/fastport" verify --rate "$rate" --subscribers 20 --topics 10 --duration "$load" --expect-faults >"$tmp/report" 2>&1 &
	local publishing=$!
	until_ 60 grep -q ^publishing "$tmp/report"
	"$@"
	if grep -q "waiting for what is owed" "$tmp/report" || ! kill -0 $publishing || ! wait $publishing; then
		cat "$tmp/report"
		echo "the load ended before the change did, or a promise was broken"
		return 1
	fi
	grep . "$tmp/report" | sed 's/^/e2e: /'
}
to() { # to NODES: scales, and waits until those that go have gone
	k scale deployment/$release-fastport --replicas "$1"
	k rollout status deployment/$release-fastport --timeout 3m
	until_ 120 nodes_are "$1"
}
# The nodes that go are those that were there first: clients stay where they are, so the new ones have none to lose.
up_and_down() {
	local first
	first=$(k get pods --selector app.kubernetes.io/component=node --output name)
	to 4
	# shellcheck disable=SC2086 # it is a list
	k annotate --overwrite $first controller.kubernetes.io/pod-deletion-cost=-1
	to 2
	[ -z "$(k get $first --ignore-not-found --output name)" ]
}
upgrade() {
	h upgrade $release $chart "${values[@]}" --set image.tag=second --wait --timeout 5m
	until_ 120 nodes_are 2
}
rolled() {
	[ -z "$(k get pods --selector app.kubernetes.io/component=node --output 'jsonpath={.items[*].spec.containers[0].image}' | tr ' ' '\n' | grep -v 'fastport:second')" ]
	[ "$(secret MASTER_KEY)" = "$(cat "$tmp/master.key")" ] # generated once, and kept
}
autoscaled() {
	# The target is between what an idle node takes and what the load takes of each: what a node can do is not the point
	# here; that the number follows is.
	h upgrade $release $chart "${values[@]}" --set image.tag=second --set autoscaling.enabled=true --set autoscaling.maxReplicas=3 \
		--set autoscaling.targetCPU="${HPA_CPU:-20}" --set autoscaling.scaleDown.stabilizationWindowSeconds=30 \
		--set-json 'autoscaling.scaleDown.policies=[{"type":"Pods","value":1,"periodSeconds":15}]' --wait --timeout 5m
	under_load until_ 130 ready_are 3
	ready_are 3 # it goes down after the load, not within
	echo "e2e: from 2 to 3 nodes under load"
	until_ 300 nodes_are 2
	echo "e2e: and back to 2 without"
}
gone() {
	h uninstall $release --wait --timeout 2m
	[ "$(k get secret $release-fastport --output name)" = "secret/$release-fastport" ] # the key outlives the release
	kubectl delete namespace $namespace monitoring --timeout 2m
}

# In one piece, so that bash has read all of it before the first step: changing this file disturbs no run of it.
main() {
	echo "commit $commit"
	step "the cluster is up" "$rig/up"
	step "images of Redis, Postgres, Go and Prometheus are there" "$rig/build-images" distroless golang redis postgres prometheus
	step "the image is built" image first
	step "... and built again, with all of it compiled anew" image_again
	step "two builds have one digest" one_digest
	step "it is in the cluster" loaded
	eval "$("$rig/env")"
	export FASTPORT_URL=http://$host:${RIG_HTTP##*:} FASTPORT_HOME=$tmp/home
	mkdir -p "$tmp/bin"
	step "the tool is built" go build -trimpath -o "$tmp/bin/fastport" ./cmd/fastport
	step "nothing of an earlier run is left" fresh
	step "the API server takes what every set of values makes, in a namespace held to the restricted standard" judged
	step "helm install, with Redis and Postgres of its own" install
	FASTPORT_ADMIN_PASS=$(secret ADMIN_PASS)
	export FASTPORT_ADMIN_PASS
	secret MASTER_KEY >"$tmp/master.key"
	step "a node tells its version, and that it is ready" version_is
	step "helm test: what is published through the Service is acked and arrives" tested
	step "a client through the ingress: messages, a file" talks
	step "the portal and the admin API through the ingress, and nothing that is for operators" portal
	step "Prometheus scrapes every pod" scraped
	step "from 2 nodes to 4 and back, under load" under_load up_and_down
	step "a rolling upgrade, under load" under_load upgrade
	step "all nodes are new ones, and the master key is the old one" rolled
	step "the autoscaler moves the number of nodes" autoscaled
	step "Prometheus scrapes every pod still" scraped
	step "helm uninstall, which keeps the secrets" gone
	echo "$steps steps, all ok"
}
main; exit
