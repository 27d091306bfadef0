package main

import (
	"fmt"
	"io"
)

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "config-docs" {
		if err := writeConfigDocs(stdout); err != nil {
			fmt.Fprintln(stderr, "fastport:", err)
			return 1
		}
		return 0
	}
	return 2
}
