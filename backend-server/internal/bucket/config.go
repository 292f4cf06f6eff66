package bucket

import (
	"flag"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Filesystem is the backend that keeps objects as files.
const Filesystem = "filesystem"

// Config says which object store is used.
type Config struct {
	Backend string
	Prefix  string
	Dir     string // of the filesystem backend
}

// IsLocal reports whether the bucket is a folder of this process alone.
func (c *Config) IsLocal() bool { return c.Backend == Filesystem && c.Dir == "" }

// RegisterFlags declares the flags of the object store, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Backend, "storage.backend", Filesystem, "Object store for blocks. Supported: "+Filesystem+".")
	f.StringVar(&c.Prefix, "storage.prefix", "", "Put in front of all object names, to share a bucket.")
	f.StringVar(&c.Dir, "storage.filesystem.dir", "", "Folder of the filesystem backend; empty means the folder bucket in -db.data-path.")
}

var prefixes = regexp.MustCompile(`^([0-9A-Za-z_-]+(/[0-9A-Za-z_-]+)*)?$`)

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if c.Backend != Filesystem {
		problems = append(problems, config.Problem("storage.backend", c.Backend, "one of those this version supports: "+Filesystem))
	}
	if !prefixes.MatchString(c.Prefix) {
		problems = append(problems, config.Problem("storage.prefix", c.Prefix, "letters, digits, - and _, with / between parts"))
	}
	return problems
}

// Open opens the object store. Its operations are counted in reg.
func Open(c Config, reg prometheus.Registerer, logger *slog.Logger) (objstore.Bucket, error) {
	if problems := c.Validate(); len(problems) > 0 {
		return nil, problems[0]
	}
	files, err := newFiles(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	logger.Info("bucket opened", "backend", c.Backend, "dir", c.Dir, "prefix", c.Prefix)
	measured := objstore.WrapWithMetrics(files, prometheus.WrapRegistererWithPrefix("hearth_", reg), c.Backend)
	return objstore.NewPrefixedBucket(measured.WithExpectedErrs(measured.IsObjNotFoundErr), c.Prefix), nil
}
