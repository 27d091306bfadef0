package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"

	"github.com/fastport/fastport/session"
)

func rekeyCommand() command {
	return command{
		name: "rekey", group: "Broker", summary: "seal anew under MASTER_KEY what MASTER_KEY_PREVIOUS sealed",
		about: `Push credentials and device tokens stand in the store sealed under MASTER_KEY. To change the key, start every node with the
new MASTER_KEY and the old one as MASTER_KEY_PREVIOUS, run this with the same settings, and take MASTER_KEY_PREVIOUS away. It
may run beside the nodes, and again after it was broken off. Where something opens under neither key it says how much, and
fails (exit code 1).`,
		examples: "fastport rekey\nMASTER_KEY=$NEW MASTER_KEY_PREVIOUS=$OLD DATABASE_URL=postgres://fastport:secret@db/fastport fastport rekey",
		define:   func(fs *flag.FlagSet) action { return configured(fs, rekey) },
	}
}

func rekey(ctx context.Context, e *env, c *Config) (err error) {
	if c.DBType == dbMemory {
		return errors.New("DB_TYPE=memory keeps nothing that outlives its process: there is nothing to seal anew")
	}
	sealer, err := openSealer(c, slog.New(slog.NewTextHandler(e.Stderr, nil)))
	if err != nil {
		return err
	}
	store, _, err := openStore(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	catalog := session.NewCatalog(session.CatalogConfig{Store: store, Sealer: sealer})
	done, err := catalog.Rekey(ctx, func(r session.Rekeyed) {
		fmt.Fprintf(e.Stderr, "looked at %d sessions and %d devices\n", r.Sessions, r.Devices)
	})
	if err != nil {
		return fmt.Errorf("%w; %d values are sealed anew: run it again for the rest", err, done.Anew)
	}
	fmt.Fprintf(e.Stdout, "sealed anew: %d values of %d sessions and %d devices\n", done.Anew, done.Sessions, done.Devices)
	if done.Unopened > 0 {
		return fmt.Errorf("%d values open under neither MASTER_KEY nor MASTER_KEY_PREVIOUS: run it again with the key that sealed them as MASTER_KEY_PREVIOUS", done.Unopened)
	}
	return nil
}
