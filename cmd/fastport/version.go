package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/fastport/fastport/protocol"
)

// version is set with -ldflags "-X main.version=v1.2.3" where a build sees no repository to take it from, as in an image.
var version string

func versionCommand() command {
	return command{
		name: "version", group: "About", summary: "which version this is, and what it speaks",
		about:    "Tells the module's version, the commit it was built from where the build knew it, Go's version and platform, and\nthe versions of the wire protocol that it speaks.",
		examples: "fastport version",
		define: func(fs *flag.FlagSet) action {
			return func(_ context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				info, ok := debug.ReadBuildInfo()
				if !ok {
					info = &debug.BuildInfo{}
				}
				_, err := fmt.Fprint(e.Stdout, versionText(info))
				return err
			}
		},
	}
}

// versionText is a line each for the version, the commit if it is known, Go, and the protocol.
func versionText(info *debug.BuildInfo) string {
	text := fmt.Sprintf("fastport %s\n", or(version, or(info.Main.Version, "(devel)")))
	built := make(map[string]string)
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	if commit := built["vcs.revision"]; commit != "" {
		text += "commit " + commit
		if at := built["vcs.time"]; at != "" {
			text += " of " + at
		}
		if built["vcs.modified"] == "true" {
			text += ", with changes"
		}
		text += "\n"
	}
	text += fmt.Sprintf("%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return text + fmt.Sprintf("protocol %d and %d\n", protocol.Version1, protocol.Version2)
}
