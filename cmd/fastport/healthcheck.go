package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

func healthcheckCommand() command {
	return command{
		name: "healthcheck", group: "Broker", args: "[ADDRESS]", summary: "ask a broker whether it is ready",
		about: `Succeeds where /readyz of the broker says that it is ready, and fails otherwise. Without an ADDRESS it asks the one at
FASTPORT_URL, or the one on this machine, by the same PORT, METRICS_PORT and TLS_CERT that ` + "`fastport serve`" + ` takes from
the environment: so a container needs no arguments for it.`,
		examples: `fastport healthcheck
fastport healthcheck https://broker.example.com
HEALTHCHECK CMD ["fastport", "healthcheck"]    # in a Dockerfile`,
		define: func(fs *flag.FlagSet) action {
			timeout := fs.Duration("timeout", 3*time.Second, "fail after this `TIME`")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 1, "an address at most"); err != nil {
					return err
				}
				base, own := ownURL(e), true
				if given := strings.Join(args, "") + e.setting("FASTPORT_URL"); given != "" {
					var err error
					if base, err = parseURL(or(strings.Join(args, ""), e.setting("FASTPORT_URL"))); err != nil {
						return err
					}
					own = false
				}
				ctx, cancel := context.WithTimeout(ctx, *timeout)
				defer cancel()
				return checkReady(ctx, strings.TrimSuffix(base, "/readyz"), own)
			}
		},
	}
}

// ownURL is where a broker with this environment answers for its health.
func ownURL(e *env) string {
	if port := e.setting("METRICS_PORT"); port != "" {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	scheme := "http"
	if e.setting("TLS_CERT") != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort("127.0.0.1", or(e.setting("PORT"), "3000"))
}

// checkReady asks once. own is for a broker on this machine, whose certificate is for another name than 127.0.0.1.
func checkReady(ctx context.Context, base string, own bool) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: own}} // nothing secret is sent or trusted
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return profile{URL: base}.explain(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready (%s): %s", base, res.Status, printable(strings.TrimSpace(string(body))))
	}
	return nil
}
