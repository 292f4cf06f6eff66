package cluster

import (
	"context"
	"time"

	"github.com/grafana/dskit/ring"
)

// forgetter decides who is dead. It is used by one member, at each heartbeat.
//
// Members stop being heard of when they die, but also when this process is cut
// off from them, was suspended, or its clock jumped. All of these look alike
// from here, except that they concern most processes at once. So nobody is
// forgotten by one who sees half of the processes or fewer (R5), nor before it
// has seen most of them for a heartbeat's timeout without a gap: after a
// partition heals, or after waking up, news of the living arrives one by one.
//
// Of two halves of equal size neither forgets; nor does one of two processes.
// There the page with the button has to do.
type forgetter struct {
	after, period, timeout time.Duration

	last  time.Time // when it was last asked
	since time.Time // since when there are dead while it sees most processes
}

// view is what one ring says about when members were heard of.
type view struct {
	desc    *ring.Desc
	timeout time.Duration
}

// dead returns the members of mine to forget. all gets the rings of the
// cluster, mine among them. held reports that there are some whom it would
// forget if it saw more of the cluster, or had for longer.
func (f *forgetter) dead(now time.Time, mine *ring.Desc, all func() []view) (ids []string, held bool) {
	gap := now.Sub(f.last) > 3*f.period || now.Before(f.last)
	f.last = now
	if f.after <= 0 {
		return nil, false
	}
	for id, p := range mine.Ingesters {
		if now.Sub(time.Unix(p.Timestamp, 0)) > f.after {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || !seesMost(now, all()) {
		f.since = time.Time{}
		return nil, len(ids) > 0
	}
	if gap || f.since.IsZero() {
		f.since = now
	}
	if now.Sub(f.since) < f.timeout {
		return nil, true
	}
	return ids, false
}

// seesMost reports whether more than half of all processes, this one counted,
// were heard of recently on one of their rings.
func seesMost(now time.Time, all []view) bool {
	alive := map[string]bool{}
	for _, v := range all {
		for id, p := range v.desc.Ingesters {
			alive[id] = alive[id] || p.IsHeartbeatHealthy(v.timeout, now)
		}
	}
	seen := 0
	for _, ok := range alive {
		if ok {
			seen++
		}
	}
	return 2*seen > len(alive)
}

// forgetDead removes the dead from desc, the member's ring, which is about to
// be written back.
func (m *Member) forgetDead(desc *ring.Desc) {
	ids, held := m.forget.dead(time.Now(), desc, func() []view { return m.views(desc) })
	if m.cluster.metrics.holding(m.name, held) {
		m.logger.Warn("dead members are kept: this process sees too few others, or has for too short a time")
	}
	for _, id := range ids {
		p := desc.Ingesters[id]
		m.logger.Warn("dead member is forgotten", "id", id, "address", p.Addr, "state", p.State.String(), "silent_for", age(&p, time.Now()))
		desc.RemoveIngester(id)
		m.cluster.metrics.forgotten.WithLabelValues(string(m.name)).Inc()
	}
}

// views returns all rings; mine is this member's.
func (m *Member) views(mine *ring.Desc) []view {
	all := []view{{mine, m.forget.timeout}}
	for name, cfg := range m.cluster.cfg.rings() {
		if name == m.name {
			continue
		}
		// It does not wait: the store is there, since mine is from it.
		if d, err := m.cluster.store.ring(context.Background(), name); err == nil {
			all = append(all, view{d, cfg.HeartbeatTimeout})
		}
	}
	return all
}
