package cluster

import (
	"strings"
	"time"

	"github.com/grafana/dskit/ring"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// spare is how many candidates a walk along the ring brings for each replica.
// Those that cannot be written to are replaced by the others (R1). dskit's own
// strategy replaces members by state, not those whose heartbeat is too old,
// and then asks for a larger quorum: two members down of which one restarts
// would end writes for a part of the series.
const spare = 2

// picker takes replicas from the members that a walk along the ring meets. It
// implements ring.ReplicationStrategy.
type picker struct {
	ring Name
	rf   int
	need int // that must be there, and must answer
}

// Filter implements ring.ReplicationStrategy: the first healthy candidates, up
// to the replication factor, in different zones if zones count. It reuses
// candidates.
func (p *picker) Filter(candidates []ring.InstanceDesc, op ring.Operation, _ int, timeout time.Duration, zones bool) ([]ring.InstanceDesc, int, error) {
	now := time.Now()
	picked := candidates[:0]
	var out []string // why others were not taken
	for _, c := range candidates {
		switch {
		case len(picked) == p.rf:
		case !c.IsHealthy(op, timeout, now):
			out = append(out, c.Id+" is "+stateOf(&c, timeout, now))
		case zones && c.Zone != "" && inZone(picked, c.Zone):
		default:
			picked = append(picked, c)
		}
	}
	if len(picked) >= p.need {
		return picked, len(picked) - p.need, nil
	}
	where := ""
	if zones {
		where = " in different zones"
	}
	why := ""
	if len(out) > 0 {
		why = "; " + strings.Join(out, ", ")
	}
	return nil, 0, fault.New(fault.Unavailable, "%d members of the %s ring%s are needed, only %d can take it%s", p.need, p.ring, where, len(picked), why)
}

func inZone(members []ring.InstanceDesc, zone string) bool {
	for i := range members {
		if members[i].Zone == zone {
			return true
		}
	}
	return false
}

// SupportsExpandedReplication implements ring.ReplicationStrategy: Filter wants
// more candidates than it takes.
func (p *picker) SupportsExpandedReplication() bool { return true }
