package tests

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPartition cuts the network of a cluster, each process in a network
// namespace of its own, and heals it again. Clients reach both sides.
func TestPartition(t *testing.T) {
	short(t)
	t.Parallel()
	n := newNamespaces(t)
	d := newDisturbed(t, newFleet(t, n, roles))
	lonely := []*member{d.named("ingester-1")}
	pushes, queries := d.while("an ingester is cut off from all others", func() {
		d.apart(n, lonely, d.others(lonely))
	})
	require.Zero(t, pushes.failed, "one ingester may be missing")
	require.Zero(t, queries.failed, "one ingester may be missing")

	// The side with two ingesters takes profiles, for they are a quorum; neither
	// side has enough to answer. What both have taken is there when they meet.
	var side []*member
	for _, m := range d.members {
		if m.name == "ingester-1" || m.name == "ingester-2" || m.target != "ingester" && strings.HasSuffix(m.name, "-1") {
			side = append(side, m)
		}
	}
	_, queries = d.while("the cluster falls into two parts", func() {
		d.apart(n, side, d.others(side))
	})
	require.Positive(t, queries.failed, "neither side may answer: it would miss what the other one has taken")
	d.inBlocks()
}

// others returns the members that are not listed.
func (d *disturbed) others(than []*member) []*member {
	return slices.DeleteFunc(slices.Clone(d.members), func(m *member) bool { return slices.Contains(than, m) })
}

// apart cuts the network between two groups until both have noticed, and for
// as long as members are down in other tests.
func (d *disturbed) apart(n *namespaces, one, other []*member) {
	d.t.Helper()
	n.cut(one, other)
	time.Sleep(fleetTimeout + 2*fleetHeartbeat + *hold)
	n.heal(one, other)
	d.settle()
}
