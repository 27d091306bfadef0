package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// children lists the processes whose parent is pid.
func children(pid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid …; a name may hold anything, so look behind its last bracket.
		var state string
		var id, parent int
		fmt.Sscanf(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), "%s %d", &state, &parent)
		fmt.Sscanf(filepath.Base(filepath.Dir(path)), "%d", &id)
		if parent == pid {
			pids = append(pids, id)
		}
	}
	return pids
}
