package bucket

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/store"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Store is an open object store. Its operations are counted, and its names
// have the prefix in front.
type Store struct {
	objstore.Bucket
	cfg       Config
	provider  store.Provider
	transport *store.Transport
}

// openPatience is for finding credentials; nothing else is asked of anybody.
const openPatience = 30 * time.Second

// Open opens the object store. Its operations are counted in reg. That it
// opens does not mean that it works: see Check.
func Open(c Config, reg prometheus.Registerer, logger *slog.Logger) (*Store, error) {
	if problems := c.Validate(); len(problems) > 0 {
		return nil, problems[0]
	}
	s := &Store{cfg: c}
	s.provider = s.cfg.provider()
	var err error
	if s.transport, err = store.NewTransport(c.CAFile); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	bare, err := s.provider.Open(ctx, s.transport)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", s.explain("open", err))
	}
	logger.Info("bucket opened", "backend", c.Backend, "bucket", bare.Name(), "dir", c.Dir, "prefix", c.Prefix)
	measured := objstore.WrapWithMetrics(bare, prometheus.WrapRegistererWithPrefix("hearth_", reg), c.Backend)
	s.Bucket = objstore.NewPrefixedBucket(measured.WithExpectedErrs(measured.IsObjNotFoundErr), c.Prefix)
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() error {
	err := s.Bucket.Close()
	s.transport.Close()
	return err
}

// explain turns an error of the store into a sentence that says what to do. Its
// kind is Invalid if only a change of settings helps, Unavailable otherwise.
func (s *Store) explain(op string, err error) error {
	m := s.provider.Explain(err)
	kind := fault.Unavailable
	if m.Cause.Misconfigured() {
		kind = fault.Invalid
	}
	said := m.Message
	if m.Code != "" {
		said = fmt.Sprintf("%s (%s)", m.Message, m.Code)
	}
	if said == "" {
		said = err.Error()
	}
	said = strings.Join(strings.Fields(said), " ")
	return fault.New(kind, "%s: look at %s; the store said: %s", s.sentence(op, m.Cause), s.flags(m.Cause), said)
}

// sentence says what a cause means for an operation.
func (s *Store) sentence(op string, c store.Cause) string {
	what := map[store.Cause]string{
		store.Unclear:     "to " + op + " objects failed",
		store.Away:        "the store is away, or has too much to do",
		store.Refused:     "the store refuses to " + op + " objects",
		store.NoBucket:    "there is no such bucket",
		store.Unknown:     "the store does not accept the credentials",
		store.Denied:      "there is no permission to " + op + " objects",
		store.Region:      "the bucket is in another region",
		store.Endpoint:    "what answers is no such store, or speaks TLS where none is expected, or the other way round",
		store.Certificate: "the certificate of the store is not trusted",
		store.Clock:       "the clocks of this machine and the store are too far apart",
		store.Missing:     "no credentials are found",
	}[c]
	if skew := s.transport.Skew().Round(time.Second); c == store.Clock && skew > 0 {
		what += fmt.Sprintf(", this one is %s ahead", skew)
	} else if c == store.Clock && skew < 0 {
		what += fmt.Sprintf(", this one is %s behind", -skew)
	}
	return fmt.Sprintf("the %s bucket %q: %s", s.cfg.Backend, s.name(), what)
}

func (s *Store) name() string {
	if s.Bucket == nil || s.cfg.Backend == Filesystem {
		return s.cfg.Dir
	}
	return s.Bucket.Name()
}

func (s *Store) flags(c store.Cause) string {
	if c == store.Certificate {
		return "-storage.tls-ca-file"
	}
	if c == store.Clock {
		return "the clock of this machine"
	}
	return s.provider.Flags(c)
}
