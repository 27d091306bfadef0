package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var demo = profile{Session: "demo", URL: "http://127.0.0.1:3000", Key: "KEY-SECRET", Password: "PASS-SECRET", SecretKey: "OWNER-SECRET"}

func TestProfile_IsForItsOwnerAlone(t *testing.T) {
	home := profiles{filepath.Join(t.TempDir(), "new", "folder")}
	path, err := home.Save(demo, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, home.dir: 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if got, err := home.Load("demo"); err != nil || got != demo {
		t.Errorf("loaded another profile than was saved: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Load("demo"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a profile that others can read is taken: %v", err)
	}
}

func TestProfile_IsNotReplacedUnlessToldSo(t *testing.T) {
	home := profiles{t.TempDir()}
	other := demo
	other.Key = "another"
	if _, err := home.Save(demo, false); err != nil {
		t.Fatal(err)
	}
	if _, err := home.Save(other, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v, want fs.ErrExist", err)
	}
	if got, _ := home.Load("demo"); got != demo {
		t.Error("the first profile is gone")
	}
	if _, err := home.Save(other, true); err != nil {
		t.Fatal(err)
	}
	if got, _ := home.Load("demo"); got != other {
		t.Error("the profile was not replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(home.dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestProfile_ThatIsDamagedOrAnothersIsNamed(t *testing.T) {
	home := profiles{t.TempDir()}
	for _, text := range []string{"", "{", `{"session":"other"}`} {
		if err := os.WriteFile(home.Path("demo"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := home.Load("demo"); err == nil || !strings.Contains(err.Error(), home.Path("demo")) {
			t.Errorf("%q: err = %v, want one with the path", text, err)
		}
	}
}

func TestProfile_PrintsNoSecret(t *testing.T) {
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, shown := range []string{fmt.Sprintf(form, demo), fmt.Sprintf(form, &demo)} {
			if strings.Contains(shown, "SECRET") {
				t.Errorf("%s shows %s", form, shown)
			}
		}
	}
}

func TestSessionList_ShowsProfilesWithoutSecrets(t *testing.T) {
	home := t.TempDir()
	vars := environment{"FASTPORT_HOME": home}
	if code, out, told := call(t, vars, "", "session", "list"); code != exitOK || out != "" || !strings.Contains(told, "session create") {
		t.Errorf("without profiles: exit code %d, %q, %q", code, out, told)
	}
	guest := demo
	guest.Session, guest.SecretKey = "guest", ""
	for _, p := range []profile{demo, guest} {
		if _, err := (profiles{home}).Save(p, false); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ := call(t, vars, "", "session", "list")
	want := "SESSION   BROKER                  OWNER\ndemo      http://127.0.0.1:3000   yes\nguest     http://127.0.0.1:3000   no\n"
	if code != exitOK || out != want {
		t.Errorf("exit code %d, printed\n%s\nwant\n%s", code, out, want)
	}
}
