package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fastport/fastport/internal/testenv"
)

// composeFile is as much of a compose file as is about us.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Build       string
		Environment map[string]string
		Command     []string
		Volumes     []string
		Healthcheck struct{ Test []string }
		StopGrace   string                       `yaml:"stop_grace_period"`
		DependsOn   map[string]map[string]string `yaml:"depends_on"`
		Networks    map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
	}
}

// composeSecrets is the .env that the file's first lines make.
var composeSecrets = map[string]string{"MASTER_KEY": testMasterKey, "DB_PASS": "d41d8cd98f00b204", "REDIS_PASS": "e9800998ecf8427e", "ADMIN_PASS": "d41d8cd98f00b204e9800998"}

var interpolation = regexp.MustCompile(`\$\{(\w+):\?[^}]*\}`)

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	raw, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := interpolation.ReplaceAllStringFunc(string(raw), func(s string) string {
		value, ok := composeSecrets[interpolation.FindStringSubmatch(s)[1]]
		if !ok {
			t.Errorf("%s is no secret that the first lines make", s)
		}
		return value
	})
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompose_EveryNodeIsOneThatStarts(t *testing.T) {
	file := readCompose(t)
	var table []string
	for _, s := range new(Config).settings() {
		table = append(table, s.Name)
	}
	var nodes []string
	for name, service := range file.Services {
		if service.Build == "" {
			continue
		}
		nodes = append(nodes, name)
		for setting := range service.Environment {
			if !slices.Contains(table, setting) {
				t.Errorf("%s sets %s, which is no setting", name, setting)
			}
		}
		c, err := loadFrom(t, nil, service.Environment, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s warns: %q", name, c.Warnings)
		}
		if !c.Cluster() || c.NodeID != name || c.Port != 3000 || c.MetricsPort != 9090 {
			t.Errorf("%s: cluster %v, node %s, ports %d and %d", name, c.Cluster(), c.NodeID, c.Port, c.MetricsPort)
		}
		if grace, err := time.ParseDuration(service.StopGrace); err != nil || grace <= c.DrainTimeout {
			t.Errorf("%s is killed after %s, within its drain of %v", name, service.StopGrace, c.DrainTimeout)
		}
		proxy := file.Services["nginx"].Networks["default"].Address
		if len(c.TrustedProxies) != 1 || c.TrustedProxies[0].Addr().String() != proxy {
			t.Errorf("%s trusts %v, want nginx at %s alone", name, c.TrustedProxies, proxy)
		}
		if got := strings.Join(service.Healthcheck.Test, " "); got != "CMD /usr/bin/fastport healthcheck" {
			t.Errorf("%s is healthy by %s", name, got)
		}
		for on := range service.DependsOn {
			if _, ok := file.Services[on]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, on)
			}
		}
	}
	slices.Sort(nodes)
	if got := strings.Join(nodes, " "); got != "node-1 node-2 node-3" {
		t.Errorf("nodes = %s, want those of deploy/nginx.conf", got)
	}
	for name := range composeSecrets {
		for service, s := range file.Services {
			if command := strings.Join(s.Command, " "); strings.Contains(command, composeSecrets[name]) {
				t.Errorf("%s of %s stands on a command line", name, service)
			}
		}
	}
}

func TestDeployDocs_NameSettingsThatThereAre(t *testing.T) {
	raw, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range new(Config).settings() {
		known[s.Name] = true
	}
	named := regexp.MustCompile(`\b[A-Z]+(?:_[A-Z]+)+\b`).FindAllString(string(raw), -1)
	for _, name := range named {
		if !known[name] {
			t.Errorf("docs/deploy.md speaks of %s, which is no setting", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("%d settings were found: the search is broken", len(named))
	}
}

func TestDockerfile_IsWhatComposeAsksFor(t *testing.T) {
	raw, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CGO_ENABLED=0", ":nonroot", "USER 65532:65532", "SOURCE_DATE_EPOCH", "-X main.version=${VERSION}",
		`HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/bin/fastport", "healthcheck"]`,
		"org.opencontainers.image.version", `ENTRYPOINT ["/usr/bin/fastport"]`, `CMD ["serve"]`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the image has no %s", want)
		}
	}
}

// firstCompose is the environment of the compose file in the project's first documents, which has Postgres without TLS
// in a service named postgres, and no Redis.
var firstCompose = environment{
	"PORT": "3000", "DB_TYPE": "postgres", "DB_HOST": "postgres", "DB_PORT": "5432", "DB_NAME": "fastport", "DB_USER": "fastport",
	"DB_PASS": "secure_password", "ENABLE_WEB_PORTAL": "true", "ADMIN_USER": "admin", "ADMIN_PASS": "admin_password",
}

func TestServe_FirstComposeFileWorksAsPrinted(t *testing.T) {
	if _, err := loadFrom(t, nil, firstCompose, ""); err != nil {
		t.Fatal(err)
	}
	name, addr := serviceName(t)
	hba, err := os.MkdirTemp("", "fastport-hba-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(hba)
	if err := os.Chmod(hba, 0o755); err != nil { // the server may be another user
		t.Fatal(err)
	}
	file := filepath.Join(hba, "hba.conf")
	if err := os.WriteFile(file, []byte("host all all all scram-sha-256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	db := testenv.StartPostgres(t, "listen_addresses=127.0.0.1,"+addr, "hba_file="+file)
	db.Exec("ALTER ROLE fastport PASSWORD 'secure_password'")
	db.Exec("CREATE DATABASE fastport OWNER fastport")
	_, port, _ := net.SplitHostPort(db.Addr())

	// All of it as it is printed, but for where on this machine things are.
	p := newPlace(t)
	for name, value := range firstCompose {
		p = p.with(name + "=" + value)
	}
	node, there := p.broker("DB_HOST="+name, "DB_PORT="+port)
	node.prints("Postgres storage: /fastport on " + name + ":" + port)
	node.tells("DB_HOST=" + name + " is reached with TLS only where it offers it")
	node.tells("ADMIN_PASS IS AN EXAMPLE")
	there.ok("session", "create", "demo", "--save")
	there.ok("pub", "demo", "news", "hello")
}

// serviceName is a name without a dot, other than localhost, under which this machine finds itself: what a service of
// a compose file looks like to its neighbours.
func serviceName(t *testing.T) (name, addr string) {
	t.Helper()
	own, _ := os.Hostname()
	hosts, _ := os.ReadFile("/etc/hosts")
	for _, name := range append([]string{own}, strings.Fields(string(hosts))...) {
		if name == "" || strings.ContainsAny(name, ".:#") || thisMachine(name) {
			continue
		}
		found, _ := net.LookupHost(name)
		for _, addr := range found {
			if ln, err := net.Listen("tcp", net.JoinHostPort(addr, "0")); err == nil {
				ln.Close()
				return name, addr
			}
		}
	}
	t.Fatal("this machine has no name for itself but localhost: give it one in /etc/hosts")
	return "", ""
}
