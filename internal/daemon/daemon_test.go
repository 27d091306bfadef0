package daemon

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestProgram_MissingNamesThePackage(t *testing.T) {
	_, err := Program("no-such-server", "some-package", "/nowhere/*")
	if err == nil || !strings.Contains(err.Error(), "some-package") || !strings.Contains(err.Error(), "scripts/test-deps.sh") {
		t.Fatalf("err = %v, want one that names the package and the script", err)
	}
}

func TestFreeAddr_IsNoPortOfOutgoingConnections(t *testing.T) {
	for range 100 {
		addr, err := FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(addr)
		if n, _ := strconv.Atoi(port); n < firstPort || n > lastPort {
			t.Fatalf("addr = %s, want a port from %d to %d", addr, firstPort, lastPort)
		}
	}
}
