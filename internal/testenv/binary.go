package testenv

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Fastport builds cmd/fastport into a folder, and returns the program's path.
func Fastport(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "fastport")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/fastport/fastport/cmd/fastport")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("testenv: building fastport: %w\n%s", err, out)
	}
	return binary, nil
}
