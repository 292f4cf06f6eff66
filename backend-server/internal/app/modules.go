package app

import (
	"maps"
	"slices"

	"github.com/grafana/dskit/modules"
	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/app/selfprofile"
	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/scheduler"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
)

// The roles that -target names.
const (
	Distributor    = "distributor"
	Ingester       = "ingester"
	QueryFrontend  = "query-frontend"
	QueryScheduler = "query-scheduler"
	Querier        = "querier"
	StoreGateway   = "store-gateway"
	Compactor      = "compactor"

	membership    = "cluster"
	selfProfiling = "self-profiling"
)

// The groups of roles that -target names.
const (
	All     = "all"
	Write   = "write"
	Read    = "read"
	Backend = "backend"
)

// groups says which roles a group stands for.
var groups = map[string][]string{
	All:     {Distributor, Ingester, QueryFrontend, QueryScheduler, Querier, StoreGateway, Compactor, selfProfiling},
	Write:   {Distributor, Ingester},
	Read:    {QueryFrontend, Querier},
	Backend: {QueryScheduler, StoreGateway, Compactor},
}

// needs says which role calls which. A process that is alone finds them in
// itself, so a role brings those it needs; a member of a cluster plays the roles
// it is told to, and those of them that others need start first and stop last.
var needs = map[string][]string{
	Distributor:    {Ingester},
	Ingester:       {StoreGateway},
	QueryFrontend:  {QueryScheduler, Querier},
	Querier:        {QueryScheduler, Ingester, StoreGateway},
	selfProfiling:  {Distributor},
	QueryScheduler: nil,
	StoreGateway:   nil,
	Compactor:      nil,
}

// Targets lists what -target takes.
func Targets() []string {
	return append(slices.Sorted(maps.Keys(groups)), Distributor, Ingester, Querier, QueryFrontend, QueryScheduler, StoreGateway, Compactor)
}

// roleSet holds the roles that this process plays; the others are nil.
type roleSet struct {
	gateway     *storegateway.Gateway
	compactor   *compactor.Compactor
	ingester    *ingester.Ingester
	distributor *distributor.Distributor
	querier     *querier.Querier
	scheduler   *scheduler.Scheduler
	profiler    *selfprofile.Profiler
}

// played returns the roles that a process with these settings plays.
func (c *Config) played() map[string]bool {
	out := map[string]bool{}
	var add func(role string)
	add = func(role string) {
		if out[role] {
			return
		}
		out[role] = true
		if c.Cluster.Alone() {
			for _, other := range needs[role] {
				add(other)
			}
		}
	}
	for _, target := range c.Target.Values {
		if roles, ok := groups[target]; ok {
			for _, role := range roles {
				add(role)
			}
			continue
		}
		add(target)
	}
	return out
}

// plays reports whether this process plays a role.
func (a *App) plays(role string) bool { return a.played[role] }

// modules tells dskit how to make each role, and in which order they start.
func (a *App) modules() (*modules.Manager, error) {
	m := modules.NewManager(a.kit)
	for name, init := range map[string]func() (services.Service, error){
		membership: a.initCluster, StoreGateway: a.initStoreGateway, Compactor: a.initCompactor, Ingester: a.initIngester, Distributor: a.initDistributor,
		QueryScheduler: a.initQueryScheduler, Querier: a.initQuerier, QueryFrontend: a.initQueryFrontend, selfProfiling: a.initSelfProfiling,
	} {
		m.RegisterModule(name, init)
	}
	for role, others := range needs {
		before := []string{membership}
		if role == Compactor && a.plays(QueryScheduler) {
			before = append(before, QueryScheduler) // it says what a deletion would do
		}
		for _, other := range others {
			if a.plays(other) {
				before = append(before, other)
			}
		}
		if err := m.AddDependency(role, before...); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// roles makes the roles that this process plays.
func (a *App) roles() ([]services.Service, error) {
	m, err := a.modules()
	if err != nil {
		return nil, err
	}
	byName, err := m.InitModuleServices(slices.Sorted(maps.Keys(a.played))...)
	if err != nil {
		return nil, err
	}
	out := make([]services.Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	if a.retention != nil {
		out = append(out, services.NewBasicService(nil, a.retention.Watch, nil).WithName("retention"))
	}
	return out, nil
}
