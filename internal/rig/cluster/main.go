// Command cluster is `make cluster`: a whole fastPort cluster of real processes on this machine, until Ctrl-C. It prints
// where everything is, and what becomes of the nodes; one that is killed comes back, as an orchestrator would have it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/fastport/fastport/internal/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts a cluster, tells of it, and ends it when ctx does.
func run(ctx context.Context, out io.Writer, args []string) (err error) {
	fs := flag.NewFlagSet("cluster", flag.ContinueOnError)
	o := rig.Options{Nginx: true, Log: out}
	fs.IntVar(&o.Nodes, "nodes", 3, "how many nodes")
	fs.IntVar(&o.Port, "port", 3000, "where nginx listens; 0: any free port")
	fs.BoolVar(&o.Sentinel, "sentinel", false, "Redis is a master, a replica and three Sentinels")
	fs.StringVar(&o.Binary, "binary", "bin/fastport", "the fastport to run")
	fs.StringVar(&o.Dir, "logs", "", "the folder where log files stay (default: they go with the cluster)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return err
	}
	c, err := rig.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Close())
		fmt.Fprintln(out, "everything has ended")
	}()
	describe(out, c, filepath.Dir(o.Binary))
	watch(ctx, out, c)
	return nil
}
