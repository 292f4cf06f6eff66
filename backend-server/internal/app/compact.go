package app

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
)

func (a *App) initCompactor() (services.Service, error) {
	cfg := a.cfg.Compactor
	cfg.Compression = a.cfg.Ingester.Compression
	deps := compactor.Deps{
		Bucket: a.bucket, Dir: compactor.Folder(a.cfg.Ingester.DataPath), Shipped: a.shipped,
		Rules: a.deletionRules, Tidy: a.tidyRules, Audit: a.audit,
		Registerer: a.registry, Logger: a.logger.With("component", Compactor), Now: time.Now,
	}
	if a.peers != nil {
		deps.Owns = a.ownsTenant
	}
	var err error
	if a.compactor, err = compactor.New(cfg, deps); err != nil {
		return nil, err
	}
	a.serveDeletions()
	return a.join(cluster.Compactor, cluster.Role{Service: a.compactor})
}

// ownsTenant reports whether this process's compactor deals with a tenant.
func (a *App) ownsTenant(tenantID string) (bool, error) {
	return a.peers.rings[cluster.Compactor].Owns(tenantID, xxhash.Sum64String(tenantID))
}
