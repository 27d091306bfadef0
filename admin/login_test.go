package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestLogin_EveryNodeKnowsIt(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	first, second := a.login(t), a.login(t)
	if first == second {
		t.Error("two logins have one token")
	}
	for _, token := range []string{first, second} {
		if !a.in(t, token) || !b.in(t, token) {
			t.Error("a token is not known everywhere")
		}
	}
	if b.in(t) || b.in(t, "Authorization: Bearer "+strings.Repeat("a", 64)) || b.in(t, "Authorization: Bearer") || b.in(t, strings.Replace(first, "Bearer", "Basic", 1)) {
		t.Error("someone without a token is in")
	}
	if strings.Contains(c.logs.String(), first[len("Authorization: Bearer "):]) || strings.Contains(c.logs.String(), pass) {
		t.Error("a secret was logged")
	}
}

func TestLogin_WrongUserAndWrongPasswordSayTheSame(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	var bodies []string
	for i, body := range []string{
		credentials("root", "wrong"), credentials("toor", pass), credentials("", ""), `{}`, `{"username":7,"password":["x"]}`,
		credentials(strings.Repeat("x", 5000), pass), `{"username":null}`, `{"username":"root\u0000","password":"` + pass + `"}`,
		credentials("roo", "t"+pass),
	} {
		a := n.call(t, "POST", "/api/admin/login", body, fmt.Sprintf("From: 192.0.2.%d", i))
		a.want(t, body[:min(40, len(body))], 401, protocol.Unauthorized)
		if len(a.Result().Cookies()) != 0 {
			t.Errorf("%.40s: a cookie was set", body)
		}
		bodies = append(bodies, a.Body.String())
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("answers differ: %s and %s", body, bodies[0])
		}
	}
}

func TestLogin_LocksAfterFiveFailuresOfAnAccountAndAddressOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		a, b := c.node(t, "a", nil), c.node(t, "b", nil)
		try := func(n node, pass string, headers ...string) answer {
			t.Helper()
			return n.call(t, "POST", "/api/admin/login", credentials("root", pass), headers...)
		}
		for i := range 4 {
			try([]node{a, b}[i%2], "wrong").want(t, "a failure", 401, protocol.Unauthorized)
		}
		try(a, pass).want(t, "right after four failures", 200, "") // which are forgotten
		for i := range 5 {
			try([]node{a, b}[i%2], "wrong").want(t, "a failure", 401, protocol.Unauthorized)
		}
		locked := try(b, pass)
		locked.want(t, "right after five failures", 429, protocol.RateLimited)
		if n := locked.Header().Get("Retry-After"); n != "900" {
			t.Errorf("Retry-After = %q, want 900", n)
		}
		try(b, pass, "From: 198.51.100.7").want(t, "from elsewhere", 200, "")
		time.Sleep(15*time.Minute - time.Second)
		try(a, pass).want(t, "a second before the end", 429, protocol.RateLimited)
		time.Sleep(time.Second)
		try(a, pass).want(t, "after it", 200, "")
	})
}

func TestLogin_ManyGuessesAtOnceAreFive(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	var wg sync.WaitGroup
	codes := make([]int, 40)
	for i := range codes {
		wg.Go(func() {
			codes[i] = []node{a, b}[i%2].call(t, "POST", "/api/admin/login", credentials("root", fmt.Sprint("guess ", i))).Code
		})
	}
	wg.Wait()
	tried := 0
	for _, code := range codes {
		if code == 401 {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d guesses were tried, want 5", tried)
	}
}

func TestLogin_WithoutCountersGuessesAreStillFew(t *testing.T) {
	c := newCluster()
	n := c.node(t, "a", nil)
	if err := n.backplane.Close(); err != nil {
		t.Fatal(err)
	}
	n.login(t)
	tried := 0
	for range 50 {
		if n.call(t, "POST", "/api/admin/login", credentials("root", "wrong")).Code == 401 {
			tried++
		}
	}
	if tried > 5 {
		t.Errorf("%d guesses were tried, want 5 at most", tried)
	}
}

func TestLogin_EndsIdleAfter30MinutesAndAfter12Hours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster().node(t, "a", nil)
		idle := n.login(t)
		time.Sleep(30*time.Minute - time.Second)
		if !n.in(t, idle) {
			t.Error("ended before 30 minutes")
		}
		time.Sleep(30 * time.Minute)
		if n.in(t, idle) {
			t.Error("not ended after 30 idle minutes")
		}
		busy := n.login(t)
		for range 12*4 - 1 {
			time.Sleep(15 * time.Minute)
			if !n.in(t, busy) {
				t.Fatal("ended in use before 12 hours")
			}
		}
		time.Sleep(15 * time.Minute)
		if n.in(t, busy) {
			t.Error("not ended after 12 hours")
		}
	})
}

func TestLogin_EndsWhenThePasswordChanges(t *testing.T) {
	c := newCluster()
	token := c.node(t, "a", nil).login(t)
	if c.node(t, "b", func(cfg *admin.Config) { cfg.Pass = "another password" }).in(t, token) {
		t.Error("a login made with the old password is known")
	}
}

// cookie is the one Set-Cookie of an answer.
func (a answer) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	cookies := a.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies = %v, want one", cookies)
	}
	return cookies[0]
}

func TestCookie_IsForThisHostAndNoScript(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	plain := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	tls := n.call(t, "POST", "/api/admin/login", credentials("root", pass), "TLS: on").cookie(t)
	for _, c := range []*http.Cookie{plain, tls} {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 {
			t.Errorf("cookie = %v", c)
		}
	}
	if plain.Secure || plain.Name != "fastport_admin" || !tls.Secure || tls.Name != "__Host-fastport_admin" {
		t.Errorf("plain = %v, TLS = %v", plain, tls)
	}
	if !n.in(t, "Cookie: "+plain.Name+"="+plain.Value) || !n.in(t, "Cookie: "+tls.Name+"="+tls.Value, "TLS: on") {
		t.Error("a cookie is not known")
	}
	if n.in(t, "Cookie: "+plain.Name+"="+plain.Value, "TLS: on") {
		t.Error("a cookie that any site of the domain may have set is taken under TLS")
	}
}

func TestCookie_FromAnotherSiteCountsForNothing(t *testing.T) {
	c := newCluster()
	n := c.node(t, "a", nil)
	if _, err := n.catalog.Create(t.Context(), session.NewSpec("s", "p")); err != nil {
		t.Fatal(err)
	}
	cookie := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	header := "Cookie: " + cookie.Name + "=" + cookie.Value
	drop := func(headers ...string) answer {
		return n.call(t, "POST", "/api/dropSession", `{"sessionName":"s"}`, append(headers, header)...)
	}
	for _, foreign := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		drop(foreign).want(t, "drop, "+foreign, 401, protocol.Unauthorized)
		n.call(t, "POST", "/api/admin/logout", "", foreign, header).want(t, "logout, "+foreign, 403, protocol.Unauthorized)
		n.call(t, "POST", "/api/admin/login", credentials("root", pass), foreign).want(t, "login, "+foreign, 403, protocol.Unauthorized)
	}
	drop("Sec-Fetch-Site: same-origin").want(t, "drop from its own page", 200, "")
}

func TestLogin_ReplacesTheOneItsBrowserHad(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	first := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	header := "Cookie: " + first.Name + "=" + first.Value
	second := n.call(t, "POST", "/api/admin/login", credentials("root", pass), header).cookie(t)
	if second.Value == first.Value {
		t.Error("the token did not change")
	}
	if n.in(t, header) || !n.in(t, "Cookie: "+second.Name+"="+second.Value) {
		t.Error("the old token still counts, or the new one does not")
	}
}

func TestLogout_HereAndEverywhere(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	one, two, three := a.login(t), a.login(t), b.login(t)
	out := b.call(t, "POST", "/api/admin/logout", "", one)
	out.want(t, "logout", 200, "")
	if cookie := out.cookie(t); cookie.MaxAge >= 0 || cookie.Value != "" {
		t.Errorf("cookie = %v, want it removed", cookie)
	}
	if a.in(t, one) || !a.in(t, two) || !a.in(t, three) {
		t.Error("logout ended another login than its own")
	}
	a.call(t, "POST", "/api/admin/logout", "", one).want(t, "again", 401, protocol.Unauthorized)
	a.call(t, "POST", "/api/admin/logout", `{"everywhere":"yes"}`, two).want(t, "malformed", 400, protocol.BadRequest)
	a.call(t, "POST", "/api/admin/logout", `{"everywhere":true}`, two).want(t, "everywhere", 200, "")
	if b.in(t, two) || b.in(t, three) {
		t.Error("a login outlived logout everywhere")
	}
}
