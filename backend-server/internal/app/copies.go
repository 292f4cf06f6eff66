package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// A query of a cluster asks as many ingesters as it takes to find what was
// written to a quorum of them. What a data folder has from a time of fewer
// copies, that of a process that was alone most of all, would be missed by
// queries that do not ask its ingester. So it goes to the bucket, where all
// queries find it, before the ingester becomes a member.

// copiesFile says, in the data folder, how many copies there are of what is in
// it.
const copiesFile = "copies"

// settled returns the ingester as a service that starts no sooner than others
// may rely on its copies.
func (a *App) settled() services.Service {
	ing, watch := a.ingester, services.NewFailureWatcher()
	watch.WatchService(ing)
	return services.NewBasicService(func(ctx context.Context) error {
		err := services.StartAndAwaitRunning(context.WithoutCancel(ctx), ing)
		if err == nil {
			err = a.settleCopies(ctx)
		}
		if err != nil && ing.State() == services.Running {
			err = errors.Join(err, services.StopAndAwaitTerminated(context.WithoutCancel(ctx), ing))
		}
		return err
	}, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watch.Chan():
			return err
		}
	}, func(error) error {
		return services.StopAndAwaitTerminated(context.Background(), ing)
	}).WithName(Ingester)
}

// settleCopies hands over what there are fewer copies of than there will be.
func (a *App) settleCopies(ctx context.Context) error {
	want := a.cfg.Cluster.Replication(cluster.Ingester)
	name := filepath.Join(a.cfg.Ingester.DataPath, copiesFile)
	had, err := a.copies(name)
	if err != nil {
		return fmt.Errorf("number of copies: %w", err)
	}
	if had == want {
		return nil
	}
	if had > 0 && had < want {
		a.logger.Info("what is here has fewer copies than it should; it goes to the bucket before this process becomes a member", "copies", had, "replication_factor", want)
		if err := a.waitForOthers(ctx, want); err != nil {
			return err
		}
		if err := a.ingester.HandOver(ctx); err != nil {
			return err
		}
	}
	if err := vfs.WriteFileAtomic(vfs.OS{}, name, []byte(strconv.Itoa(want))); err != nil {
		return fmt.Errorf("number of copies: %w", err)
	}
	return nil
}

// waitForOthers returns when most of the members that a copy needs are on the
// ring: as long as this process knows nobody, it does not know either which
// store-gateways there are.
func (a *App) waitForOthers(ctx context.Context, replicas int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		members, err := a.peers.rings[cluster.Ingester].All(ctx)
		if err == nil && len(members) > replicas/2 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// copies returns how many copies there are of what is in the data folder, 0 if
// there is nothing. A folder that does not tell is that of a process that was
// alone.
func (a *App) copies(name string) (int, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if a.ingester.Tenants() == 0 {
			return 0, nil
		}
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || n < 1 {
		a.logger.Error("the number of copies in the data folder cannot be read; it is taken for 1", "file", name, "content", string(raw))
		return 1, nil
	}
	return n, nil
}
