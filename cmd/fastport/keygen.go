package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/fastport/fastport/client/e2ee"
)

func keygenCommand() command {
	return command{
		name: "keygen", group: "Sessions", summary: "make a key",
		about: `Prints a session's key: 32 random bytes in base64. Whoever has it can read and write the session's messages; the
broker never gets it. ` + "`fastport session create`" + ` makes one by itself, and a MASTER_KEY for a broker has the same form.`,
		examples: `fastport keygen --out demo.key
fastport session create demo --save --key-file demo.key
MASTER_KEY=$(fastport keygen) fastport serve`,
		define: func(flags *flag.FlagSet) action {
			out := flags.String("out", "", "write it to a new `FILE` that nobody else can read")
			return func(_ context.Context, e *env, args []string) error {
				if err := need(flags, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				line := e2ee.NewKey().Base64() + "\n"
				if *out == "" {
					_, err := fmt.Fprint(e.Stdout, line)
					return err
				}
				return writeNew(*out, line)
			}
		},
	}
}

// writeNew writes a secret into a file that must not be there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and may be a key in use: choose another name", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
