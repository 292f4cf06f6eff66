package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/app"
	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
)

// bucketDir is the folder of the filesystem backend below the data folder.
const bucketDir = "bucket"

// A tool is a command of the binary beside the server: "block list" and so on.
// It takes the settings of the server too, so that the configuration file of a
// server tells it which bucket is meant.
type tool struct {
	name, usage string
	// flags declares the flags of the tool itself.
	flags func(f *flag.FlagSet)
	// run does the work; args are the arguments that are no flags.
	run func(ctx context.Context, c *console, args []string) error
}

// console is what a running tool sees of the world.
type console struct {
	out    io.Writer
	errOut io.Writer
	cfg    app.Config
	bar    *progress.Bar
}

// logf writes a message to the error output, above the progress bar.
func (c *console) logf(format string, args ...any) { fmt.Fprintf(c.bar, format+"\n", args...) }

// errFound ends a tool with the exit code 1 and no further message: what is
// wrong has been said.
var errFound = errors.New("something is wrong")

// tools are all tools, by name.
func tools() []*tool {
	return []*tool{blockList(), blockInspect(), blockVerify(), blockExport(), importProfiles(), importBlocks()}
}

// findTool returns the tool that args begin with and the rest of args. words
// says that args do not begin with a flag, so must name one.
func findTool(args []string) (t *tool, rest []string, words bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil, args, false
	}
	for _, t := range tools() {
		name := strings.Fields(t.name)
		if len(args) >= len(name) && strings.Join(args[:len(name)], " ") == t.name {
			return t, args[len(name):], true
		}
	}
	return nil, args, true
}

func toolNames() string {
	var names []string
	for _, t := range tools() {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// main runs the tool and returns the exit code: 0, 1 if it found something or
// failed, 2 if it was called wrongly.
func (t *tool) main(ctx context.Context, args []string, out, errOut io.Writer) int {
	c := &console{out: out, errOut: errOut, bar: progress.New(errOut)}
	fs, file := flag.NewFlagSet(t.name, flag.ContinueOnError), new(config.File)
	c.cfg.RegisterFlags(fs)
	file.RegisterFlags(fs)
	t.flags(fs)
	flags, words := split(fs, args)
	err := config.Load(fs, file, flags)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, t.help())
		return 0
	}
	err = errors.Join(append([]error{err}, c.cfg.Storage.Validate()...)...)
	if err != nil {
		fmt.Fprintf(errOut, "The settings are not good:\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return 2
	}
	err = t.run(ctx, c, words)
	c.bar.End()
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(errOut, "%s; backend-server %s -help says more\n", wrong.text, t.name)
		return 2
	case !errors.Is(err, errFound):
		fmt.Fprintf(errOut, "hearth: %s: %v\n", t.name, err)
	}
	return 1
}

// usageError says how a tool was called wrongly.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misused(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// help is the tool's usage with its own flags and those that say where the
// bucket is.
func (t *tool) help() string {
	own, storage := flag.NewFlagSet("", flag.ContinueOnError), flag.NewFlagSet("", flag.ContinueOnError)
	t.flags(own)
	new(config.File).RegisterFlags(storage)
	new(bucket.Config).RegisterFlags(storage)
	var all app.Config
	everything := flag.NewFlagSet("", flag.ContinueOnError)
	all.RegisterFlags(everything)
	if f := everything.Lookup("db.data-path"); f != nil {
		storage.Var(f.Value, f.Name, "Data folder of the server, where the bucket is if nothing else is said.")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: backend-server %s %s\n\nFlags:\n", t.name, t.usage)
	own.SetOutput(&b)
	own.PrintDefaults()
	fmt.Fprintln(&b, "\nThe bucket, as for the server, whose other flags are known too:")
	storage.SetOutput(&b)
	storage.PrintDefaults()
	return b.String()
}

// split parts flags, with their values, from other arguments, which may stand
// between them. What follows "--" is no flag.
func split(fs *flag.FlagSet, args []string) (flags, words []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return flags, append(words, args[i+1:]...)
		}
		if len(arg) < 2 || arg[0] != '-' {
			words = append(words, arg)
			continue
		}
		flags = append(flags, arg)
		f := fs.Lookup(strings.TrimLeft(arg, "-"))
		if f == nil {
			continue // with its value in it, or unknown
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); (!ok || !b.IsBoolFlag()) && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return flags, words
}

// openBucket opens the bucket that the settings name.
func (c *console) openBucket() (objstore.Bucket, error) {
	cfg := c.cfg.Storage
	if cfg.IsLocal() {
		cfg.Dir = filepath.Join(c.cfg.Ingester.DataPath, bucketDir)
	}
	if err := readable(cfg); err != nil {
		return nil, fmt.Errorf("%w; -storage.filesystem.dir or -db.data-path must say where the bucket is", err)
	}
	return bucket.Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

// readable reports a folder that is not there: opening it as a bucket would make
// an empty one of it.
func readable(cfg bucket.Config) error {
	if cfg.Backend != bucket.Filesystem {
		return nil
	}
	if info, err := os.Stat(cfg.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is no folder", cfg.Dir)
	}
	return nil
}
