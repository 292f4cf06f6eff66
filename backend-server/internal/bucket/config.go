package bucket

import (
	"flag"
	"regexp"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/store"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// The backends. Filesystem keeps objects as files.
const (
	Filesystem = "filesystem"
	S3         = "s3"
	GCS        = "gcs"
	Azure      = "azure"
	Swift      = "swift"
)

var backends = []string{Filesystem, S3, GCS, Azure, Swift}

// Config says which object store is used.
type Config struct {
	Backend string
	Prefix  string
	Dir     string // of the filesystem backend
	CAFile  string
	S3      store.S3
	GCS     store.GCS
	Azure   store.Azure
	Swift   store.Swift
}

// IsLocal reports whether the bucket is a folder of this process alone.
func (c *Config) IsLocal() bool { return c.Backend == Filesystem && c.Dir == "" }

// RegisterFlags declares the flags of the object store, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Backend, "storage.backend", Filesystem, "Object store for blocks: "+strings.Join(backends, ", ")+".")
	f.StringVar(&c.Prefix, "storage.prefix", "", "Put in front of all object names, to share a bucket.")
	f.StringVar(&c.Dir, "storage.filesystem.dir", "", "Folder of the filesystem backend; empty means the folder bucket in -db.data-path.")
	f.StringVar(&c.CAFile, "storage.tls-ca-file", "", "File of certificates, in PEM, that are trusted in addition to the system's when an object store is spoken to.")
	c.S3.RegisterFlags(f)
	c.GCS.RegisterFlags(f)
	c.Azure.RegisterFlags(f)
	c.Swift.RegisterFlags(f)
}

// provider returns the settings of the backend that is used, or nil.
func (c *Config) provider() store.Provider {
	switch c.Backend {
	case Filesystem:
		return &store.Files{Dir: c.Dir}
	case S3:
		return &c.S3
	case GCS:
		return &c.GCS
	case Azure:
		return &c.Azure
	case Swift:
		return &c.Swift
	}
	return nil
}

var prefixes = regexp.MustCompile(`^([0-9A-Za-z_-]+(/[0-9A-Za-z_-]+)*)?$`)

// Validate reports every value that is not allowed. The settings of backends
// that are not used may be anything.
func (c *Config) Validate() []error {
	var problems []error
	if !slices.Contains(backends, c.Backend) {
		problems = append(problems, config.Problem("storage.backend", c.Backend, "one of "+strings.Join(backends, ", ")))
	} else {
		problems = append(problems, c.provider().Validate()...)
	}
	if !prefixes.MatchString(c.Prefix) {
		problems = append(problems, config.Problem("storage.prefix", c.Prefix, "letters, digits, - and _, with / between parts"))
	}
	return problems
}
