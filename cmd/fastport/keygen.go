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
		name: "keygen", group: "Sessions", summary: "make a key for a session",
		about: `Makes the key that the devices of a session share, 32 random bytes in base64. It never goes to the server.`,
		examples: `fastport keygen                     print it
fastport keygen --out demo.key      keep it in a new file that only you can read`,
		define: func(flags *flag.FlagSet) action {
			out := flags.String("out", "", "new `file` to write it to")
			return func(_ context.Context, e *env, args []string) error {
				if err := need(flags, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				key := e2ee.NewKey().Base64()
				if *out == "" {
					_, err := fmt.Fprintln(e.Stdout, key)
					return err
				}
				// Never over another key: it may be the only one there is.
				f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if errors.Is(err, fs.ErrExist) {
					return usagef("%s is there already: a key is never overwritten", *out)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(f, key)
				return errors.Join(err, f.Close())
			}
		},
	}
}
