package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// onProbation loses the disk of a member: it comes back by its name, and with
// nothing of what it once acknowledged.
func onProbation(t *testing.T) {
	l := newLAN(t, 15)
	role := Role{Leaves: func() bool { return false }, Probation: 6 * time.Second}
	p1, p2, p3 := l.process(1, role), l.process(2, role), l.process(3, role)
	up(p1, p2, p3)
	const all = "p1 ACTIVE, p2 ACTIVE, p3 ACTIVE"
	p1.willSee(all)
	require.False(t, p2.member.tokens.gone())

	p2.down()
	p2 = l.process(2, role).up() // with a data folder of its own
	p1.willSee("p1 ACTIVE, p2 JOINING, p3 ACTIVE")
	require.NoError(t, p2.member.Ready())
	eventually(t, func() (string, bool) {
		set, err := p1.ring.Replicas("t", 1)
		return fmt.Sprint(ids(set), err), err == nil && len(set.Instances) == 3
	}, "it is written to")
	readers, err := p1.ring.Readers(t.Context(), "t", 0)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"p1", "p3"}, ids(readers)) // in the order of the ring
	require.Zero(t, readers.MaxErrors, "it is the one that may be missing")
	require.True(t, p2.member.tokens.gone(), "should it start again, it is still known what was lost")

	p1.willSee(all)
	eventually(t, func() (string, bool) { return "", !p2.member.tokens.gone() }, "the tokens are kept again")
}
