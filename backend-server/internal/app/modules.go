package app

import (
	"github.com/grafana/dskit/modules"
	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/app/selfprofile"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
)

// The roles that -target names.
const (
	All           = "all"
	Distributor   = "distributor"
	Ingester      = "ingester"
	QueryFrontend = "query-frontend"
	Querier       = "querier"
	StoreGateway  = "store-gateway"

	selfProfiling = "self-profiling"
)

// needs says which role calls which. They find each other in this process, so
// a role brings those it needs.
var needs = map[string][]string{
	All:           {Distributor, QueryFrontend, selfProfiling},
	Distributor:   {Ingester},
	Ingester:      {StoreGateway},
	QueryFrontend: {Querier},
	Querier:       {Ingester, StoreGateway},
	selfProfiling: {Distributor},
}

// Targets lists what -target takes.
func Targets() []string {
	return []string{All, Distributor, Ingester, Querier, QueryFrontend, StoreGateway}
}

// roleSet holds the roles that this process plays; the others are nil.
type roleSet struct {
	gateway     *storegateway.Gateway
	ingester    *ingester.Ingester
	distributor *distributor.Distributor
	querier     *querier.Querier
	profiler    *selfprofile.Profiler
}

// modules tells dskit how to make each role.
func (a *App) modules() (*modules.Manager, error) {
	m := modules.NewManager(a.kit)
	m.RegisterModule(All, nil)
	m.RegisterModule(StoreGateway, a.initStoreGateway)
	m.RegisterModule(Ingester, a.initIngester)
	m.RegisterModule(Distributor, a.initDistributor)
	m.RegisterModule(Querier, a.initQuerier)
	m.RegisterModule(QueryFrontend, a.initQueryFrontend)
	m.RegisterModule(selfProfiling, a.initSelfProfiling, modules.UserInvisibleModule)
	for role, others := range needs {
		if err := m.AddDependency(role, others...); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// roles makes the roles of -target and what they need.
func (a *App) roles() ([]services.Service, error) {
	m, err := a.modules()
	if err != nil {
		return nil, err
	}
	byName, err := m.InitModuleServices(a.cfg.Target.Values...)
	if err != nil {
		return nil, err
	}
	out := make([]services.Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	return out, nil
}
