//go:build !linux

package daemon

import (
	"os/exec"
	"strconv"
	"strings"
)

// ended reports whether a child has ended. It leaves it to be waited for: until then ps shows it as a zombie.
func ended(pid int) bool {
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}
