// Command plain writes the chart's manifests for people without Helm into the folder that it is given.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fastport/fastport/charts"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plain CHART FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func write(chart, folder string) error {
	files, err := charts.Plain(chart)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
