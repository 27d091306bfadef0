package admin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// calls are all of the operator's API but login.
var calls = []string{
	"POST /logout {}", "GET /stats", "GET /sessions", "GET /sessions/s", "GET /sessions/s/devices", "GET /events?view=overview", "GET /audits",
	"GET /trace?session=s", `POST /trace {"session":"s"}`, "POST /nodes/a/drain {}",
}

func TestDesk_EveryCallNeedsALogin(t *testing.T) {
	n := newCluster().run(t, "a")
	for _, c := range calls {
		method, rest, _ := strings.Cut(c, " ")
		path, body, _ := strings.Cut(rest, " ")
		n.call(t, method, "/api/admin"+path, body).want(t, c, 401, protocol.Unauthorized)
		n.call(t, method, "/api/admin"+path, body, "Authorization: Bearer "+strings.Repeat("0", 64)).want(t, c, 401, protocol.Unauthorized)
	}
	if me := get[map[string]any](t, n.node, "/me"); me["user"] != nil || me["node"] != nil || me["version"] != nil {
		t.Errorf("a stranger is told %v", me)
	}
	if me := get[map[string]any](t, n.node, "/me", n.login(t)); me["user"] != "root" || me["node"] != "a" || me["version"] != "v9" {
		t.Errorf("the operator is told %v", me)
	}
	select {
	case <-n.asked:
		t.Error("a stranger drained the node")
	default:
	}
}

// What another site has a browser send does nothing, though the cookie comes with it.
func TestDesk_NothingIsDoneForAnotherSite(t *testing.T) {
	n := newCluster().run(t, "a")
	n.session(t, "s")
	login := n.call(t, "POST", "/api/admin/login", credentials("root", pass))
	cookie := "Cookie: " + strings.SplitN(login.Header().Get("Set-Cookie"), ";", 2)[0]
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		for _, c := range append([]string{`POST ../suspendSession {"sessionName":"s","suspend":true}`, `POST ../dropSession {"sessionName":"s"}`}, calls...) {
			method, rest, _ := strings.Cut(c, " ")
			path, body, _ := strings.Cut(rest, " ")
			if method != "POST" {
				continue
			}
			path = strings.Replace("/api/admin"+path, "/api/admin../", "/api/", 1)
			if a := n.call(t, method, path, body, cookie, from); a.Code != 401 && a.Code != 403 {
				t.Errorf("%s %s: %d %s", from, c, a.Code, a.Body)
			}
		}
	}
	if got := get[admin.SessionDetail](t, n.node, "/sessions/s", cookie); got.Suspended {
		t.Error("another site suspended the session")
	}
	n.call(t, "POST", "/api/suspendSession", `{"sessionName":"s","suspend":true}`, cookie, "Sec-Fetch-Site: same-origin").want(t, "the portal's own", 200, "")
}

func TestAudit_TellsWhoDidWhatFromWhereWithWhatResult(t *testing.T) {
	c := newCluster()
	n, other := c.run(t, "a"), c.run(t, "b")
	n.call(t, "POST", "/api/admin/login", credentials("root", "wrong"), "From: 192.0.2.9")
	n.call(t, "POST", "/api/admin/login", credentials("a password, typed into the wrong field", "x"), "From: 192.0.2.9")
	token := n.login(t, "From: 192.0.2.7")
	from := []string{token, "From: 192.0.2.7"}
	n.call(t, "POST", "/api/createSession", `{"sessionName":"s","password":"hunter2"}`, from...).want(t, "create", 200, "")
	n.call(t, "POST", "/api/createSession", `{"sessionName":"s","password":"hunter2"}`, from...).want(t, "create again", 409, protocol.Conflict)
	n.call(t, "POST", "/api/createSession", `{"sessionName":"stranger's","password":"p"}`)
	n.call(t, "POST", "/api/suspendSession", `{"sessionName":"s","suspend":true}`, from...).want(t, "suspend", 200, "")
	n.call(t, "POST", "/api/suspendSession", `{"sessionName":"s","suspend":false}`, from...).want(t, "resume", 200, "")
	n.call(t, "POST", "/api/admin/trace", `{"session":"s"}`, from...).want(t, "watch", 200, "")
	n.call(t, "POST", "/api/admin/trace", `{"session":"s","seconds":0}`, from...).want(t, "end", 200, "")
	n.call(t, "POST", "/api/dropSession", `{"sessionName":"s"}`, from...).want(t, "drop", 200, "")
	n.call(t, "POST", "/api/dropSession", `{"sessionName":"s"}`, from...).want(t, "drop again", 404, protocol.NotFound)
	n.call(t, "POST", "/api/admin/nodes/c/drain", `{}`, from...).want(t, "drain nobody", 404, protocol.NotFound)

	want := []string{ // the newest first
		"root node.drain c 192.0.2.7 a not_found", "root session.drop s 192.0.2.7 a not_found", "root session.drop s 192.0.2.7 a ok",
		"root trace.end s 192.0.2.7 a ok", "root trace.watch s 192.0.2.7 a ok", "root session.resume s 192.0.2.7 a ok", "root session.suspend s 192.0.2.7 a ok",
		"root session.create s 192.0.2.7 a conflict", "root session.create s 192.0.2.7 a ok", "root login  192.0.2.7 a ok", "root login  192.0.2.9 a unauthorized",
	}
	var got []string
	for before := ""; ; { // any node shows it
		page := get[struct {
			Audits []admin.AuditInfo
			Next   *int64
		}](t, other.node, "/audits?limit=4"+before, token)
		for _, a := range page.Audits {
			got = append(got, fmt.Sprint(a.User, " ", a.Action, " ", a.Target, " ", a.From, " ", a.Node, " ", a.Result))
			if age := time.Since(time.UnixMilli(a.At)); age < 0 || age > time.Minute {
				t.Errorf("audit of %v ago", age)
			}
		}
		if page.Next == nil {
			break
		}
		before = fmt.Sprint("&before=", *page.Next)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("audits\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text := c.logs.String()
	if strings.Count(text, `"logger":"audit"`) != len(want)+1 || !strings.Contains(text, `"action":"session.drop","target":"s","from":"192.0.2.7","result":"ok"`) {
		t.Errorf("the log's audits are others: %s", text)
	}
	for _, secret := range []string{"hunter2", "wrong field", token[len("Authorization: Bearer "):]} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, query := range []string{"before=0", "before=x", "limit=0", "limit=501"} {
		n.call(t, "GET", "/api/admin/audits?"+query, "", token).want(t, query, 400, protocol.BadRequest)
	}
}

func TestDrain_ReachesTheNodeThroughAnyOther(t *testing.T) {
	c := newCluster()
	a, b, third := c.run(t, "a"), c.run(t, "b"), c.run(t, "c")
	token := a.login(t)
	a.call(t, "POST", "/api/admin/nodes/b/drain", "{}", token).want(t, "drain b through a", 200, "")
	<-b.asked
	a.call(t, "POST", "/api/admin/nodes/a/drain", "{}", token).want(t, "drain itself", 200, "")
	<-a.asked
	a.call(t, "POST", "/api/admin/nodes/nobody/drain", "{}", token).want(t, "drain nobody", 404, protocol.NotFound)
	a.call(t, "POST", "/api/admin/nodes/b/drain", `{"now":true}`, token).want(t, "another field is passed over", 200, "")
	if len(third.asked) > 0 || len(a.asked) > 0 {
		t.Error("a node drains that was not asked to")
	}
}

func TestSession_IsTheWholeClustersAndHoldsNoSecret(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	s := a.session(t, "s")
	if _, err := c.store.Subscribe(t.Context(), "c:1", storage.Topic{Session: s.ID, Name: "t"}, false); err != nil {
		t.Fatal(err)
	}
	b.publish(t, s, "t", "m1")
	for i := range 3 {
		d := storage.Device{Session: s.ID, User: "ann", ID: fmt.Sprint("d", i), Platform: "ios", Token: []byte("sealed token")}
		if err := c.store.SaveDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	token := a.login(t)
	answer := a.call(t, "GET", "/api/admin/sessions/s", "", token)
	var got admin.SessionDetail
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (admin.UsageInfo{Topics: 1, Subscriptions: 1, Messages: 1, Bytes: int64(len("the data of m1")), Devices: 3, Users: 1}); got.Usage != want {
		t.Errorf("usage = %+v, want %+v", got.Usage, want)
	}
	if got.SessionName != "s" || got.Live.Nodes != 2 || got.Push.Configured {
		t.Errorf("session = %+v", got)
	}
	for _, secret := range []string{s.ID, s.PasswordHash, "the data", "sealed"} {
		if strings.Contains(answer.Body.String(), secret) {
			t.Errorf("the answer holds %q", secret)
		}
	}

	var ids []string
	for query := ""; ; {
		page := get[struct {
			Devices []admin.DeviceInfo
			More    bool
		}](t, b.node, "/sessions/s/devices?limit=2"+query, token)
		for _, d := range page.Devices {
			ids = append(ids, d.User+"/"+d.ID+"/"+d.Platform)
			query = "&afterUser=" + d.User + "&afterDevice=" + d.ID
		}
		if !page.More {
			break
		}
	}
	if fmt.Sprint(ids) != "[ann/d0/ios ann/d1/ios ann/d2/ios]" {
		t.Errorf("devices = %v", ids)
	}
	for _, path := range []string{"/sessions/none", "/sessions/none/devices", "/sessions/a:b"} {
		a.call(t, "GET", "/api/admin"+path, "", token).want(t, path, 404, protocol.NotFound)
	}
	if err := a.catalog.Suspend(t.Context(), "s", true); err != nil {
		t.Fatal(err)
	}
	if got := get[admin.SessionDetail](t, b.node, "/sessions/s", token); !got.Suspended {
		t.Error("suspended, and not shown as such")
	}
}

func TestTrace_TellsEachNodesStepsAndWhatTheStoreKnows(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	s := a.session(t, "s")
	at := storage.Topic{Session: s.ID, Name: "t"}
	for _, sub := range []storage.Subscriber{"c:1", "c:2"} {
		if _, err := c.store.Subscribe(t.Context(), sub, at, false); err != nil {
			t.Fatal(err)
		}
	}
	token := a.login(t)
	b.publish(t, s, "t", "unwatched")
	watch := a.call(t, "POST", "/api/admin/trace", `{"session":"s"}`, token)
	watch.want(t, "watch", 200, "")
	if fmt.Sprint(watch.body["nodes"]) != "[a b]" || watch.body["watchedMs"].(float64) < 590_000 {
		t.Errorf("watch = %s", watch.Body)
	}
	b.publish(t, s, "t", "m1")
	if _, err := c.store.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:2", Topic: at, Acked: storage.Span(2, 2)}}); err != nil {
		t.Fatal(err)
	}
	answer := a.call(t, "GET", "/api/admin/trace?session=s&messageId=m1", "", token)
	var got admin.Trace
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, e := range got.Events {
		steps = append(steps, e.Node+" "+string(e.Step))
		if e.MessageID != "m1" || e.Topic != "t" {
			t.Errorf("event = %+v", e)
		}
	}
	if fmt.Sprint(steps) != "[b published b stored b answered]" || got.Left < 590_000 || fmt.Sprint(got.Nodes) != "[a b]" {
		t.Errorf("trace = %s", answer.Body)
	}
	if len(got.Found) != 1 || got.Found[0].Seq != 2 || !got.Found[0].Stored || got.Found[0].Subscriptions != 2 || got.Found[0].Settled != 1 ||
		fmt.Sprint(got.Found[0].Positions) != "[{c:1 false} {c:2 true}]" {
		t.Errorf("found = %+v", got.Found)
	}
	if strings.Contains(answer.Body.String(), "the data") || strings.Contains(answer.Body.String(), s.ID) {
		t.Errorf("it holds data, or the session's id: %s", answer.Body)
	}
	all := get[admin.Trace](t, a.node, "/trace?session=s", token)
	if len(all.Events) != 3 || len(all.Found) != 0 {
		t.Errorf("of the session: %+v", all)
	}
	a.call(t, "POST", "/api/admin/trace", `{"session":"s","seconds":0}`, token).want(t, "end", 200, "")
	if got := get[admin.Trace](t, b.node, "/trace?session=s", token); got.Left != 0 || len(got.Events) != 3 {
		t.Errorf("after its end: %+v", got)
	}
	for _, query := range []string{"session=", "session=a:b", "session=s&messageId=" + strings.Repeat("x", 65), "session=s&messageId=m&topic=%01"} {
		a.call(t, "GET", "/api/admin/trace?"+query, "", token).want(t, query, 400, protocol.BadRequest)
	}
	a.call(t, "GET", "/api/admin/trace?session=none", "", token).want(t, "no session", 404, protocol.NotFound)
	for _, body := range []string{`{"session":"s","seconds":-1}`, `{"session":"s","seconds":3601}`, `{"session":7}`} {
		a.call(t, "POST", "/api/admin/trace", body, token).want(t, body, 400, protocol.BadRequest)
	}
	full := 0
	for i := range 20 {
		if a.call(t, "POST", "/api/admin/trace", fmt.Sprintf(`{"session":"s","messageId":"m%d"}`, i), token).Code == 403 {
			full++
		}
	}
	if full != 4 {
		t.Errorf("%d of 20 watches were refused, want 4", full)
	}
}

func TestHistory_IsOnOneGridOfTime(t *testing.T) {
	h := admin.MergeForTest(time.Now(), 30*time.Second, map[string][]admin.SampleForTest{
		"a": {{Age: 27500, Values: [6]float64{1, 10, 0, 0, 1, 9}}, {Age: 3500, Values: [6]float64{2, 20, 0, 0, 2, 5}}, {Age: 500, Values: [6]float64{3, 30, 0, 0, 3, 3}}},
		"b": {{Age: 400, Values: [6]float64{5, 50, 0, 0, 1, 7}}, {Age: 90000, Values: [6]float64{99}}},
	})
	show := func(list []*float64) (s string) {
		for _, v := range list {
			if v == nil {
				s += "- "
			} else {
				s += fmt.Sprint(*v, " ")
			}
		}
		return strings.TrimSpace(s)
	}
	if got := show(h.Cluster.Connections); got != "1 - - - - - - - 2 8" {
		t.Errorf("connections = %s", got)
	}
	if got := show(h.Cluster.AckP99); got != "9 - - - - - - - 5 7" {
		t.Errorf("p99 = %s, want the slowest's", got)
	}
	if got := show(h.Nodes["b"].Publishes); got != "- - - - - - - - - 50" {
		t.Errorf("b's publishes = %s", got)
	}
}

func TestLogs_KeepTheNewestWithinBounds(t *testing.T) {
	logs := new(admin.Logs)
	log := slog.New(logs.Handler(slog.LevelInfo))
	for i := range 1500 {
		log.Info("line", slog.Int("i", i))
		log.Debug("too fine")
	}
	log.Error("broken", slog.String("long", strings.Repeat("é\n", 20_000)))
	list := logs.After(0, slog.LevelDebug, 10)
	if len(list) != 10 || list[9].N != 1501 || !json.Valid(list[9].Record) || len(list[9].Record) > 40_000 || !strings.Contains(string(list[0].Record), `"i":1491`) {
		t.Fatalf("%d lines, the last %d with %d bytes, the first %s", len(list), list[len(list)-1].N, len(list[9].Record), list[0].Record)
	}
	if got := logs.After(0, slog.LevelWarn, 1000); len(got) != 1 || !strings.Contains(string(got[0].Record), "broken") {
		t.Errorf("of warnings: %d", len(got))
	}
	if got := logs.After(1499, slog.LevelDebug, 1000); len(got) != 2 || got[0].N != 1500 {
		t.Errorf("after 1499: %+v", got)
	}
	if got := logs.After(0, slog.LevelDebug, 5000); len(got) > 1000 {
		t.Errorf("%d lines are kept", len(got))
	}
	var none *admin.Logs
	if got := none.After(0, slog.LevelDebug, 10); got != nil {
		t.Error("none has lines")
	}
}

var _ admin.Engine = (*session.Node)(nil)
