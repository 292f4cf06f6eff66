package querier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// bubble runs a test on a clock of its own. It fails if a goroutine is left.
func bubble(t *testing.T, name string, fn func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, fn) })
}

var stages = map[string]stage{"open": opening, "rows": telling, "ask": asking}

// fail has members fail at a stage.
func fail(at stage, with error, members ...*member) {
	for _, m := range members {
		m.fails, m.with = at, with
	}
}

func TestTooManyFail(t *testing.T) {
	for name, at := range stages {
		bubble(t, name+": two ingesters", func(t *testing.T) {
			c := newCast(t, 3)
			fail(at, fault.New(fault.Unavailable, "stopping"), c.ingesters[0], c.ingesters[2])
			_, err := c.read(t.Context())
			require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		})
		bubble(t, name+": two ingesters of two zones", func(t *testing.T) {
			c := newCast(t, 6)
			c.zones = true
			fail(at, fault.New(fault.Unavailable, "stopping"), c.ingesters[0], c.ingesters[5])
			_, err := c.read(t.Context())
			require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		})
		bubble(t, name+": all store-gateways", func(t *testing.T) {
			c := newCast(t, 3)
			fail(at, fault.New(fault.Unavailable, "stopping"), c.gateways...)
			_, err := c.read(t.Context())
			require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		})
	}
	bubble(t, "there is no store-gateway", func(t *testing.T) {
		c := newCast(t, 3)
		c.gateways = nil
		_, err := c.read(t.Context())
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	})
	bubble(t, "the ring says no", func(t *testing.T) {
		c := newCast(t, 3)
		c.err = fault.New(fault.Unavailable, "too few")
		_, err := c.read(t.Context())
		require.Equal(t, c.err, err)
		require.Zero(t, c.gateways[0].opened)
	})
}

// TestZoneFails loses a whole zone.
func TestZoneFails(t *testing.T) {
	for name, at := range stages {
		bubble(t, name, func(t *testing.T) {
			c := newCast(t, 6)
			c.zones = true
			fail(at, fault.New(fault.Unavailable, "stopping"), c.ingesters[1], c.ingesters[4]) // that of the querier
			got, err := c.read(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, profiles, got)
		})
	}
}

// TestOwnZoneIsAskedFirst asks two zones of three, that of the querier among
// them, and one store-gateway.
func TestOwnZoneIsAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 6)
		c.zones = true
		for range tries {
			_, err := c.read(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, tries, c.ingesters[1].opened)
		require.Equal(t, tries, c.ingesters[4].opened)
		require.Equal(t, tries, c.ingesters[0].opened+c.ingesters[2].opened)
		require.Equal(t, tries, c.gateways[0].opened)
		require.Zero(t, c.gateways[1].opened)
		require.Zero(t, testutil.CollectAndCount(c.metrics.failed), "what was not needed has not failed")
	})
}

// TestFinalErrors are those of any store: they are returned at once.
func TestFinalErrors(t *testing.T) {
	for name, at := range stages {
		for _, kind := range []fault.Kind{fault.Invalid, fault.TooLarge, fault.Unimplemented} {
			bubble(t, fmt.Sprint(name, ": ", kind), func(t *testing.T) {
				c := newCast(t, 3)
				members := slices.Concat(c.ingesters, c.gateways)
				fail(at, fault.New(kind, "too much"), members...)
				begin := time.Now()
				_, err := c.read(t.Context())
				require.True(t, fault.Is(err, kind), "%v", err)
				require.Zero(t, time.Since(begin))
				for _, m := range members {
					require.LessOrEqual(t, m.opened, 1)
				}
				require.Zero(t, testutil.ToFloat64(c.metrics.lost))
			})
		}
	}
}

// TestNobodyWaitsInVain has one half fail while the other hangs.
func TestNobodyWaitsInVain(t *testing.T) {
	for _, gatewaysHang := range []bool{false, true} {
		bubble(t, fmt.Sprintf("gateways hang=%t", gatewaysHang), func(t *testing.T) {
			c := newCast(t, 3)
			hang, broken := c.ingesters, c.gateways
			if gatewaysHang {
				hang, broken = broken, hang
			}
			fail(opening, nil, hang...)
			fail(opening, fault.New(fault.Unavailable, "stopping"), broken...)
			begin := time.Now()
			_, err := c.read(t.Context())
			require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
			require.LessOrEqual(t, time.Since(begin), hedgeAfter)
		})
	}
}

// TestSlowMembers are helped out by others at the beginning, and waited for
// later, as long as they are not much slower than the rest.
func TestSlowMembers(t *testing.T) {
	bubble(t, "a store-gateway", func(t *testing.T) {
		c := newCast(t, 3)
		c.gateways[0].slow = time.Minute
		begin := time.Now()
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles, got)
		require.Equal(t, hedgeAfter, time.Since(begin))
	})
	bubble(t, "an ingester", func(t *testing.T) {
		c := newCast(t, 3)
		c.ingesters[0].slow = time.Minute
		for range tries {
			begin := time.Now()
			got, err := c.read(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, profiles, got)
			require.LessOrEqual(t, time.Since(begin), hedgeAfter)
		}
		require.Zero(t, testutil.CollectAndCount(c.metrics.failed), "it was cancelled")
	})
	bubble(t, "all of them", func(t *testing.T) {
		c := newCast(t, 3)
		for i, m := range slices.Concat(c.ingesters, c.gateways) {
			m.slow = time.Second + time.Duration(i)*100*time.Millisecond
		}
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles, got)
		require.Zero(t, testutil.ToFloat64(c.metrics.lost))
	})
}

// TestCancelled gives a question up at every stage.
func TestCancelled(t *testing.T) {
	for name, at := range stages {
		bubble(t, name, func(t *testing.T) {
			c := newCast(t, 3)
			fail(at, nil, slices.Concat(c.ingesters, c.gateways)...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			_, err := c.read(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(begin))
		})
		bubble(t, name+": all but one", func(t *testing.T) {
			c := newCast(t, 3)
			fail(at, nil, c.ingesters...)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := c.read(ctx)
			require.ErrorIs(t, err, context.Canceled)
		})
		bubble(t, name+": before", func(t *testing.T) {
			c := newCast(t, 3)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := c.read(ctx)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// TestLists asks what does not sum.
func TestLists(t *testing.T) {
	values := &question.Question{Kind: question.LabelValues, Label: "unit", Range: profile.TimeRange{Start: 100, End: 200}}
	for _, at := range []stage{never, listing} {
		for i := range 5 {
			bubble(t, fmt.Sprintf("stage %d of member %d", at, i), func(t *testing.T) {
				c := newCast(t, 3)
				fail(at, errors.New("broken"), slices.Concat(c.ingesters, c.gateways)[i])
				a, err := c.Read(t.Context(), "tenant", values)
				require.NoError(t, err)
				require.Equal(t, []string{"r"}, a.Texts)
			})
		}
	}
	bubble(t, "too many fail", func(t *testing.T) {
		c := newCast(t, 3)
		fail(listing, fault.New(fault.Unavailable, "stopping"), c.ingesters...)
		_, err := c.Read(t.Context(), "tenant", values)
		require.True(t, fault.Is(err, fault.Unavailable))
	})
}

// TestVersions are known again, and empty answers are answers.
func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 3)
		typ, err := profile.ParseType(cpu)
		require.NoError(t, err)
		q := question.Question{Kind: question.Tree, WantVersion: true, Selection: query.Selection{Type: typ, Range: profile.TimeRange{Start: 100, End: 200}}}
		first, err := c.Read(t.Context(), "tenant", &q)
		require.NoError(t, err)
		require.NotZero(t, first.Version)
		q.Known = first.Version
		for range tries { // of other ingesters
			again, err := c.Read(t.Context(), "tenant", &q)
			require.NoError(t, err)
			require.Equal(t, &question.Answer{Version: first.Version, Unchanged: true}, again)
		}

		q.Selection.Range = profile.TimeRange{Start: 1, End: 2}
		none, err := c.Read(t.Context(), "tenant", &q)
		require.NoError(t, err)
		require.Zero(t, none.Tree.Total())
		require.NotZero(t, none.Version)
		require.NotEqual(t, first.Version, none.Version)
	})
}

// TestWhoHasMuchToDo: a store that takes far longer than all others, since its
// bucket is slow or it has most of the data, does not fail the question (Q4).
func TestWhoHasMuchToDo(t *testing.T) {
	const takes = time.Minute
	read := func(t *testing.T, c *cast, most time.Duration) {
		t.Helper()
		begin := time.Now()
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles, got)
		require.LessOrEqual(t, time.Since(begin), most)
	}
	bubble(t, "all store-gateways", func(t *testing.T) {
		c := newCast(t, 3)
		c.gateways[0].works, c.gateways[1].works = takes, takes
		read(t, c, takes+hangsAfter)
	})
	bubble(t, "the only store-gateway", func(t *testing.T) {
		c := newCast(t, 3)
		c.gateways = c.gateways[:1]
		c.gateways[0].works = takes
		read(t, c, takes+hangsAfter)
	})
	bubble(t, "ingesters, and one is down", func(t *testing.T) {
		c := newCast(t, 3)
		fail(opening, fault.New(fault.Unavailable, "stopping"), c.ingesters[0])
		c.ingesters[1].works, c.ingesters[2].works = takes, takes
		read(t, c, takes+hangsAfter)
	})
	bubble(t, "everybody", func(t *testing.T) {
		c := newCast(t, 3)
		for i, m := range slices.Concat(c.ingesters, c.gateways) {
			m.works = time.Duration(i+1) * takes
		}
		read(t, c, 20*takes)
	})
}

// TestSlowBucket: not all store-gateways read the same from a bucket that is
// slow already.
func TestSlowBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCast(t, 3)
		g := c.gateways[0]
		c.gateways = nil
		for i := range 20 {
			c.gateways = append(c.gateways, &member{name: fmt.Sprint("g", i), Store: g.Store, slow: 6 * time.Second})
		}
		_, err := c.read(t.Context())
		require.NoError(t, err)
		asked := 0
		for _, m := range c.gateways {
			asked += m.opened
		}
		require.LessOrEqual(t, asked, 10, "of two attempts")
	})
}
