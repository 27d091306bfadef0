package e2e

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecrets_AreInNoAnswerNoLogAndNoFile drives a server that logs everything through all that takes a secret, the
// wrong ways too, and then looks for each secret, as text, hex, base64 and bytes, in every answer, in the log, in the
// process's arguments and in every file that it wrote. Tokens are in the store as their SHA-256.
func TestSecrets_AreInNoAnswerNoLogAndNoFile(t *testing.T) {
	random := func(n int) []byte { b := make([]byte, n); rand.Read(b); return b }
	b64 := base64.StdEncoding.EncodeToString
	master, root, fcmKey := random(32), random(32), random(32)
	adminPass, password, wrong := "op-"+hex.EncodeToString(random(16)), "pw-"+hex.EncodeToString(random(16)), "no-"+hex.EncodeToString(random(16))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := hkdf.Key(sha256.New, root, []byte("one"), "fastport/2/fcm", 32)
	if err != nil {
		t.Fatal(err)
	}
	pemText, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "LOG_LEVEL=debug", "ADMIN_PASS="+adminPass, "MASTER_KEY="+b64(master))

	var answers bytes.Buffer // all but those that hand out a token, once
	note := func(a answer) answer {
		fmt.Fprintln(&answers, a.status, a.header, a.text)
		return a
	}
	post := func(path, body string, headers ...string) answer { return s.call(t, "POST", path, body, headers...) }
	create := func(name, more string) string {
		return fmt.Sprintf(`{"sessionName":%q,"password":%q,%s"fcmConfig":{"projectId":"my-chat-app","privateKey":%s,
			"clientEmail":"a@my-chat-app.iam.gserviceaccount.com","enabled":true}}`, name, password, more, pemText)
	}
	var tokens []string // those that were handed out
	for name, more := range map[string]string{"one": `"encryptionKey":"` + b64(root) + `",`, "two": `"fcmKey":"` + b64(fcmKey) + `","keyCheck":"` + strings.Repeat("0", 32) + `",`} {
		made := post("/api/createSession", create(name, more))
		made.want(t, "create", 200, "")
		if len(made.json) != 3 {
			t.Errorf("createSession answers %s, want success, sessionName and secretKey", made.text)
		}
		tokens = append(tokens, made.json["secretKey"].(string))
		note(post("/api/createSession", create(name, more))) // taken
	}
	note(post("/api/createSession", create("bad", `"encryptionKey":"`+b64(root)+`x",`)))
	note(post("/api/createSession", create("bad", `"encryptionKey":"`+b64(root)+`","password":"`+password+`",`)))
	note(post("/api/createSession", strings.Replace(create("bad", `"encryptionKey":"`+b64(root)+`",`), "enabled", "token_uri", 1)))
	note(post("/api/createSession", strings.Replace(create("bad", ""), "BEGIN", "BEGINS", 1)))
	note(post("/api/createSession", create("bad", `"suite":"`+b64(root)+`",`)))
	note(post("/api/createSession", create("bad", "")[:1200]))

	login := post("/api/admin/login", fmt.Sprintf(`{"username":"admin","password":%q}`, adminPass))
	login.want(t, "login", 200, "")
	token := login.json["token"].(string)
	bearer := "Authorization: Bearer " + token
	for _, a := range []answer{
		post("/api/admin/login", fmt.Sprintf(`{"username":%q,"password":%q}`, adminPass, wrong)),
		post("/api/admin/login", fmt.Sprintf(`{"username":"admin","password":[%q]}`, adminPass)),
		post("/api/admin/login", fmt.Sprintf(`{"username":"admin","password":%q`, adminPass)),
		s.call(t, "GET", "/api/admin/stats", "", bearer), s.call(t, "GET", "/api/admin/sessions", "", bearer),
		s.call(t, "GET", "/api/admin/sessions?token="+token, ""), s.call(t, "GET", "/healthz", ""), s.call(t, "GET", "/", ""), s.call(t, "GET", "/metrics", ""),
		s.call(t, "GET", "/debug/pprof/cmdline", ""),
	} {
		note(a)
	}
	basic := func(name, pass string) string { return "Authorization: Basic " + b64([]byte(name+":"+pass)) }
	const data = "data that is the tenants' own"
	publish := post("/api/publish", `{"topic":"t","data":"`+data+`"}`, basic("one", password))
	publish.want(t, "publish", 200, "")
	for _, a := range []answer{publish, post("/api/publish", `{"topic":"t"}`, basic("one", password)), post("/api/publish", `{"topic":"t","data":"x"}`, basic("one", wrong)),
		post("/api/publish", `{"topic":"t","data":"x"}`, basic("no:"+wrong, password)),
		post("/api/suspendSession", fmt.Sprintf(`{"sessionName":"one","password":%q,"secretKey":%q,"suspend":7}`, password, tokens[0])),
		post("/api/dropSession", fmt.Sprintf(`{"sessionName":"one","password":%q,"secretKey":%q}`, password, wrong)),
		post("/api/dropSession", fmt.Sprintf(`{"sessionName":{"x":%q},"password":%q}`, wrong, password))} {
		note(a)
	}
	for _, init := range []frame{
		{"password": password}, {"password": wrong}, {"password": []string{password}}, {"password": password, "clientId": strings.Repeat("x", 500)}, {"sessionName": password, "password": wrong},
	} {
		d := s.connect(t, "127.0.0.1", nil)
		d.send(with(frame{"type": "init", "sessionName": "one", "clientId": "phone", "protocol": 2}, init))
		f := d.next()
		fmt.Fprintln(&answers, f)
		if f["success"] != true {
			continue
		}
		d.send(frame{"type": "init", "sessionName": "one", "password": password})
		fmt.Fprintln(&answers, d.next())
		d.send(frame{"type": "register_fcm_token", "userId": "ann", "encryptedData": b64(fcmKey), "hash": strings.Repeat("0", 64)})
		fmt.Fprintln(&answers, d.next())
		d.send(frame{"type": password, "data": wrong})
		fmt.Fprintln(&answers, d.next())
	}

	type secret struct {
		name string
		raw  []byte
	}
	secrets := []secret{{"the session's password", []byte(password)}, {"the operator's password", []byte(adminPass)}, {"a password that was tried", []byte(wrong)},
		{"the root key", root}, {"the fcmKey", fcmKey}, {"the derived fcmKey", derived}, {"the master key", master},
		{"the private key", der[len(der)/2 : len(der)/2+48]}, {"a prime of the private key", rsaKey.Primes[0].Bytes()}, {"the operator's token", []byte(token)}}
	for _, k := range tokens {
		secrets = append(secrets, secret{"a secretKey", []byte(k)})
	}
	look := func(where string, in []byte) {
		t.Helper()
		for _, s := range secrets {
			forms := [][]byte{s.raw, []byte(hex.EncodeToString(s.raw)), []byte(b64(s.raw)), []byte(base64.RawURLEncoding.EncodeToString(s.raw))}
			if text, err := hex.DecodeString(string(s.raw)); err == nil {
				forms = append(forms, text) // a token's bytes
			}
			for _, form := range forms {
				if bytes.Contains(in, form) {
					t.Errorf("%s is in %s", s.name, where)
				}
			}
		}
		// A PEM's lines begin at another place of the base64 than the search does.
		for _, line := range strings.Split(b64(der), "\n") {
			for i := 64; i+40 < len(line); i += 64 {
				if bytes.Contains(in, []byte(line[i:i+40])) {
					t.Errorf("a line of the PEM is in %s", where)
				}
			}
		}
	}
	look("an answer", answers.Bytes())
	if s := answers.String(); strings.Contains(s, "goroutine ") || strings.Contains(s, ".go:") || strings.Contains(s, "argon2id") {
		t.Errorf("an answer holds a stack trace or a hash:\n%s", s)
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	look("the process's arguments", arguments)

	var stored []byte
	files := 0
	err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		look(filepath.Base(path), b)
		stored = append(stored, b...)
		files++
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files were found, %v", files, err)
	}
	for i, k := range tokens {
		if sum := sha256.Sum256([]byte(k)); !bytes.Contains(stored, sum[:]) {
			t.Errorf("the SHA-256 of secretKey %d is not in the store", i)
		}
	}
	if bytes.Count(stored, []byte("$argon2id$v=19$m=19456,t=2,p=1$")) < 2 {
		t.Error("the passwords' argon2id hashes are not in the store")
	}

	log := s.log.String()
	look("the log", []byte(log))
	if strings.Contains(log, data) {
		t.Error("a message's data is in the log")
	}
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "{") && (!json.Valid([]byte(line)) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < 0x20 })) {
			t.Errorf("a line of the log is not JSON with its control characters escaped: %q", line)
		}
	}
}
