package server

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
)

// importBlocksFlags are the flags of "import-blocks".
type importBlocksFlags struct {
	from         bucket.Config
	tenant, temp string
	again        bool
}

func importBlocks() *tool {
	i := new(importBlocksFlags)
	return &tool{
		name: "import-blocks",
		usage: "[flags] [FOLDER]\n\n" +
			"Converts the blocks of Pyroscope (storage v1) or Phlare into blocks of the same tenants.\n" +
			"They are read from FOLDER, which has <tenant>/phlaredb/<block> or <tenant>/local/<block>,\n" +
			"or from the bucket that the flags -from.… name, in the same way as -storage.… name this\n" +
			"server's. Nothing is changed there. Every block is checked before it counts as done: the\n" +
			"number of profiles and the sum of values of each series. What was done is noted in the\n" +
			"bucket, so a run that was cut off can be repeated. Replicas are counted once.\n" +
			"Downsampled profiles are left out. The exit code is 1 if a block was not imported.",
		flags: i.register,
		run:   i.run,
	}
}

func (i *importBlocksFlags) register(f *flag.FlagSet) {
	own := flag.NewFlagSet("", flag.ContinueOnError)
	i.from.RegisterFlags(own)
	own.VisitAll(func(one *flag.Flag) {
		f.Var(one.Value, "from."+strings.TrimPrefix(one.Name, "storage."), "Of the bucket to read from: "+one.Usage)
	})
	f.StringVar(&i.tenant, "tenant", "", "Tenant whose blocks are imported; empty means all.")
	f.StringVar(&i.temp, "temp-dir", "", "Folder for one block at a time and what is made of it; empty means that of the operating system.")
	f.BoolVar(&i.again, "again", false, "Import blocks that were imported before, too.")
}

func (i *importBlocksFlags) run(ctx context.Context, c *console, args []string) error {
	from, err := i.open(args)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read from
	to, err := c.openBucket()
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // what was uploaded was checked
	res, err := importer.Blocks(ctx, from, bucket.NewGuard(to, false, func() error { return nil }), importer.BlockOptions{
		Tenant: i.tenant, MaxStackDepth: c.cfg.Limits.MaxStackDepth, Again: i.again, TempDir: i.temp, Bar: c.bar, Log: c.logf,
	})
	c.bar.End()
	fmt.Fprintf(c.out, "Of %d blocks %d were imported: %d profiles in %d blocks, %s of %s. Left out: %d imported before, %d marked for deletion, %d not complete. Not imported for what is wrong: %d.\n",
		res.Found, res.Imported, res.Profiles, res.Blocks, progress.Bytes(res.To), progress.Bytes(res.From), res.Before, res.Marked, res.Incomplete, res.Bad)
	if err == nil && res.Bad > 0 {
		return errFound
	}
	return err
}

// open opens what is read from.
func (i *importBlocksFlags) open(args []string) (objstore.Bucket, error) {
	cfg := i.from
	switch {
	case len(args) > 1:
		return nil, misused("import-blocks takes one folder, not %d", len(args))
	case len(args) == 1:
		cfg = bucket.Config{Backend: bucket.Filesystem, Dir: args[0]}
	case cfg.IsLocal():
		return nil, misused("import-blocks needs a folder, or -from.backend and the flags that go with it")
	}
	if err := readable(cfg); err != nil {
		return nil, err
	}
	return bucket.Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}
