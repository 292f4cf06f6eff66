package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/filelock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
)

// Names in the data folder. The tenants' databases are below a third one, so
// that no tenant's name can meet these.
const (
	lockFile  = "LOCK"
	bucketDir = "bucket"
)

// ErrLocked is in the chain of New's error when another process works on the
// data folder.
var ErrLocked = errors.New("the data folder is in use")

// lockData makes the data folder and locks it (A2).
func (a *App) lockData() error {
	dir, err := filepath.Abs(a.cfg.Ingester.DataPath)
	if err != nil {
		return fmt.Errorf("data folder %s: %w", a.cfg.Ingester.DataPath, err)
	}
	// A folder that a power cut takes away takes all in it along.
	if err := vfs.MakeDir(vfs.OS{}, dir); err != nil {
		return fmt.Errorf("data folder (-db.data-path): %w", err)
	}
	lock, err := filelock.Acquire(filepath.Join(dir, lockFile))
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("%w: another Hearth process works on %s; stop that one or choose another folder with -db.data-path: %w", ErrLocked, dir, err)
	}
	if err != nil {
		return fmt.Errorf("data folder (-db.data-path): %w", err)
	}
	a.lock.Store(lock)
	return nil
}

func (a *App) openBucket() error {
	cfg := a.cfg.Storage
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(a.cfg.Ingester.DataPath, bucketDir)
	}
	bkt, err := bucket.Open(cfg, a.registry, a.logger.With("component", "bucket"))
	if err != nil {
		return err
	}
	// A store that is away must not keep an ingester from taking in profiles.
	if err := bkt.Check(context.Background()); fault.Is(err, fault.Unavailable) {
		a.logger.Warn("the bucket does not work now; it is tried again whenever it is needed", "err", err)
	} else if err != nil {
		return errors.Join(err, bkt.Close())
	}
	seen := filepath.Join(a.cfg.Ingester.DataPath, bucket.SeenFile)
	known, err := vfs.Exists(vfs.OS{}, seen)
	if err != nil {
		return errors.Join(fmt.Errorf("data folder (-db.data-path): %w", err), bkt.Close())
	}
	a.bucket = bucket.NewGuard(bkt, known, func() error { return vfs.WriteFileAtomic(vfs.OS{}, seen, nil) })
	return nil
}

func (a *App) initStoreGateway() (services.Service, error) {
	cached := filepath.Join(a.cfg.Ingester.DataPath, storegateway.CacheDir)
	if a.cfg.Storage.IsLocal() {
		cached = "" // the blocks are on this disk already
	}
	a.gateway = storegateway.New(storegateway.Deps{
		Bucket: a.bucket, Deletions: a.storedDeletions, Retention: a.tooOld,
		Config: a.cfg.StoreGateway, CacheDir: cached,
		Registerer: a.registry, Logger: a.logger.With("component", StoreGateway),
	})
	a.checks = append(a.checks, check{StoreGateway, a.gateway.Ready})
	if a.peers != nil {
		a.gateway.ListAfter(heardOf)
	}
	return a.join(cluster.StoreGateway, cluster.Role{Service: a.gateway})
}

// heardOf is how long after a process has joined a ring all others know it;
// gossip takes about a second.
const heardOf = 3 * time.Second

// probation returns how long an ingester that has lost its disk is not read
// from: until others have cut and shipped what they have of the time before. If
// there is one copy of everything, others have nothing of it.
func (c *Config) probation() time.Duration {
	if c.Cluster.Replication(cluster.Ingester) == 1 {
		return 0
	}
	return c.Ingester.MaxBlockDuration + probationMargin
}

// probationMargin is for cutting and shipping what others have of the time
// before.
const probationMargin = 15 * time.Minute

// dropGrace is longer than it takes a query to open what it reads.
const dropGrace = time.Minute

func (a *App) initIngester() (services.Service, error) {
	cfg := a.cfg.Ingester
	cfg.RetryWindow = a.cfg.Limits.RejectOlderThan
	if a.peers != nil {
		cfg.DropGrace = dropGrace
	}
	a.ingester = ingester.New(cfg, ingester.Deps{
		FS:         vfs.OS{},
		Bucket:     a.bucket,
		Shipped:    a.shipped,
		InBucket:   a.inBucket,
		Registerer: a.registry,
		Logger:     a.logger.With("component", Ingester),
	})
	a.checks = append(a.checks, check{Ingester, a.ingester.Ready})
	a.leaves.Store(a.cfg.UnregisterIngester)
	return a.join(cluster.Ingester, cluster.Role{
		Service: a.settled(), Leaves: a.leaves.Load, Drain: a.ingester.Drain,
		Probation: a.cfg.probation(),
	})
}
