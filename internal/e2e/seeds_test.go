package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSeedClient_InNode runs a client written from the seed documents alone, with nothing but ws and node:crypto:
// publish, receive, ack, retry 1, 2, 3, give up, dedupe, isolation, files.
func TestSeedClient_InNode(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres", "memory"} {
		t.Run(store, func(t *testing.T) {
			s := serve(t, storeEnv(t, store)...)
			cmd := exec.CommandContext(t.Context(), "node", "--test", "seed.test.mjs")
			cmd.Dir = "../../testdata/seedclient"
			cmd.Env = append(os.Environ(), "FASTPORT_URL="+s.http())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("node --test: %v (make deps installs what it needs)\n%s", err, out)
			}
			if !strings.Contains(string(out), "# pass 8") {
				t.Fatalf("not all of the 8 tests ran:\n%s", out)
			}
		})
	}
}

// TestSeedCurl runs the seeds' createSession with push credentials: as printed it is refused and the field named; with
// a real key and PEM in place of the placeholders it works.
func TestSeedCurl(t *testing.T) {
	s := serve(t)
	body := func(encryptionKey, privateKey string) string {
		pk, err := json.Marshal(privateKey)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{
    "sessionName": "my_chat_with_fcm",
    "password": "secure_pass_123",
    "encryptionKey": %q,
    "retryInterval": 5000,
    "maxRetryLimit": 100,
    "messageExpiryTime": 3600000,
    "fcmConfig": {
      "projectId": "my-chat-app",
      "privateKey": %s,
      "clientEmail": "firebase-adminsdk-xxxxx@my-chat-app.iam.gserviceaccount.com",
      "enabled": true
    }
  }`, encryptionKey, pk)
	}
	curl := func(body string) (string, map[string]any) {
		out, err := exec.CommandContext(t.Context(), "curl", "-s", "-w", "\n%{http_code}", "-X", "POST", s.http()+"/api/createSession",
			"-H", "Content-Type: application/json", "-d", body).Output()
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndexByte(string(out), '\n')
		var answer map[string]any
		if err := json.Unmarshal(out[:i], &answer); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		return string(out[i+1:]), answer
	}

	const placeholder = "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"
	status, answer := curl(body("base64_32_byte_key_here", placeholder))
	if text, _ := answer["error"].(string); status != "400" || answer["code"] != "bad_request" || !strings.Contains(text, "encryptionKey") {
		t.Errorf("as printed: %s %v, want a 400 that names encryptionKey", status, answer)
	}
	key := make([]byte, 32)
	rand.Read(key)
	status, answer = curl(body(base64.StdEncoding.EncodeToString(key), placeholder))
	if text, _ := answer["error"].(string); status != "400" || !strings.Contains(text, "privateKey") {
		t.Errorf("with a real key: %s %v, want a 400 that names privateKey", status, answer)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	status, answer = curl(body(base64.StdEncoding.EncodeToString(key), text))
	if status != "200" || answer["success"] != true || answer["sessionName"] != "my_chat_with_fcm" {
		t.Errorf("with a real key and PEM: %s %v", status, answer)
	}
}
