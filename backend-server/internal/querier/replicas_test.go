package querier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// several is a unit of some profiles.
type several struct {
	*unit
	ids []uint64
}

func (s *several) Scan(_ context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	for _, id := range s.ids {
		row := &query.Row{Time: 150, ID: id, Total: 1, Unit: 1}
		if !req.TotalsOnly {
			row.Stacks, row.Values = []uint32{0}, []int64{1}
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

// stage is a step of a session.
type stage int

const (
	never stage = iota
	opening
	telling // rows
	asking
	listing
)

// member is a store that can fail, or hang, at one stage.
type member struct {
	replica.Store
	name  string
	zone  string
	fails stage
	with  error // nil: it hangs
	slow  time.Duration
	works time.Duration // at its answer

	mu            sync.Mutex
	opened, open  int
	asked, listed int
}

// reach is called at every stage.
func (m *member) reach(ctx context.Context, at stage) error {
	if m.slow > 0 {
		select {
		case <-time.After(m.slow):
		case <-ctx.Done():
		}
	}
	if at == m.fails && m.with != nil {
		return m.with
	}
	if at == m.fails {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (m *member) count(n *int, d int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*n += d
}

func (m *member) Open(ctx context.Context, tenantID string, q *question.Question) (replica.Session, error) {
	m.count(&m.opened, 1)
	if err := m.reach(ctx, opening); err != nil {
		return nil, err
	}
	s, err := m.Store.Open(ctx, tenantID, q)
	if err == nil {
		m.count(&m.open, 1)
	}
	return &session{Session: s, of: m}, err
}

func (m *member) List(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	m.count(&m.listed, 1)
	if err := m.reach(ctx, listing); err != nil {
		return nil, err
	}
	return m.Store.List(ctx, tenantID, q)
}

type session struct {
	replica.Session
	of   *member
	once sync.Once
}

func (s *session) Rows(ctx context.Context, refs []replica.Ref) ([][]replica.Row, error) {
	if err := s.of.reach(ctx, telling); err != nil {
		return nil, err
	}
	return s.Session.Rows(ctx, refs)
}

func (s *session) Ask(ctx context.Context, picks []replica.Pick) (*question.Answer, error) {
	s.of.count(&s.of.asked, 1)
	if s.of.works > 0 {
		select {
		case <-time.After(s.of.works):
		case <-ctx.Done():
		}
	}
	if err := s.of.reach(ctx, asking); err != nil {
		return nil, err
	}
	return s.Session.Ask(ctx, picks)
}

func (s *session) Close() {
	s.once.Do(func() { s.of.count(&s.of.open, -1) })
	s.Session.Close()
}

// cast are the members of a cluster; it implements Directory.
type cast struct {
	t                   *testing.T
	ingesters, gateways []*member
	zones               bool
	err                 error
	blocks              []ulid.ULID
	deleted             deletion.Rules
	reg                 *prometheus.Registry
	*Replicas
}

// profiles is how many profiles a cast has: those of its ingesters, each of
// which misses another one, and one that only the bucket has.
const profiles = 6

// firstBlock is the number of the block that has it.
const firstBlock = 9

// newCast returns n ingesters, in three zones, and two store-gateways.
func newCast(t *testing.T, n int) *cast {
	c := &cast{t: t, reg: prometheus.NewRegistry()}
	e := NewEngine(Config{})
	local := func(u query.Queryable) replica.Store {
		return replica.NewLocal(replica.ByRange((&store{units: []query.Queryable{u}}).shared), e.Engine, e.Digester)
	}
	for i := range n {
		u := &several{unit: &unit{name: "r", origin: query.Origin{ID: id(byte(10 + i)), Source: id(byte(10 + i))}}}
		for p := range profiles - 1 {
			if p != i {
				u.ids = append(u.ids, uint64(p))
			}
		}
		c.ingesters = append(c.ingesters, &member{name: fmt.Sprint("i", i), zone: string(rune('a' + i%3)), Store: local(u)})
	}
	c.blocks = []ulid.ULID{id(firstBlock)}
	for i := range 2 {
		u := &several{unit: block("r", firstBlock, 0), ids: []uint64{profiles - 1}}
		c.gateways = append(c.gateways, &member{name: fmt.Sprint("g", i), Store: local(u)})
	}
	c.Replicas = NewReplicas(c, "b", Deps{Registerer: c.reg, Logger: slog.New(slog.DiscardHandler)})
	return c
}

// shared is view without counts, for goroutines.
func (s *store) shared(context.Context, string, profile.TimeRange) ([]query.Queryable, func(), error) {
	return s.units, func() {}, nil
}

func (c *cast) Ingesters(context.Context, string) (cluster.Set, error) {
	set := cluster.Set{MaxErrors: 1}
	if c.zones {
		set = cluster.Set{ZoneAwarenessEnabled: true, MaxUnavailableZones: 1}
	}
	for _, m := range c.ingesters {
		set.Instances = append(set.Instances, cluster.Peer{Id: m.name, Addr: m.name, Zone: m.zone})
	}
	return set, c.err
}

func (c *cast) Gateways(context.Context, string) ([]cluster.Peer, error) {
	var out []cluster.Peer
	for _, m := range c.gateways {
		out = append(out, cluster.Peer{Id: m.name})
	}
	return out, nil
}

// Owners gives a block, whose number is a multiple of firstBlock, to the store-gateways in turn.
func (c *cast) Owners(_ string, block ulid.ULID) []string {
	var out []string
	for i := range c.gateways {
		out = append(out, c.gateways[(int(block[15])/firstBlock-1+i)%len(c.gateways)].name)
	}
	return out
}

// Overview takes no time: it is not the bucket that is asked.
func (c *cast) Overview(_ context.Context, p cluster.Peer, _ string, _ *question.Question) (catalog.Overview, error) {
	i := slices.IndexFunc(c.gateways, func(m *member) bool { return m.name == p.Id })
	if m := c.gateways[i]; m.fails == opening && m.with != nil {
		return catalog.Overview{}, m.with
	}
	return catalog.Overview{Blocks: c.blocks, Deleted: c.deleted}, nil
}

func find(list []*member, name string) (replica.Store, error) {
	i := slices.IndexFunc(list, func(m *member) bool { return m.name == name })
	if i < 0 {
		return nil, errors.New("no such member")
	}
	return list[i], nil
}

func (c *cast) Ingester(p cluster.Peer) (replica.Store, error) { return find(c.ingesters, p.Id) }
func (c *cast) Gateway(p cluster.Peer) (replica.Store, error)  { return find(c.gateways, p.Id) }

// read asks a question that sums.
func (c *cast) read(ctx context.Context) (int64, error) {
	typ, err := profile.ParseType(cpu)
	require.NoError(c.t, err)
	q := &question.Question{Kind: question.Tree, Selection: query.Selection{Type: typ, Range: profile.TimeRange{Start: 100, End: 200}}}
	a, err := c.Read(ctx, "tenant", q)
	c.done()
	if err != nil {
		return 0, err
	}
	return a.Tree.Total(), nil
}

// done checks that no session is left open once all that was cancelled has
// returned.
func (c *cast) done() {
	synctest.Wait()
	for _, m := range slices.Concat(c.ingesters, c.gateways) {
		require.Zero(c.t, m.open, "open sessions of %s", m.name)
	}
}

// tries is how often a question is asked where the choice of ingesters is
// random.
const tries = 20

// TestOneMemberFails has every member in turn fail or hang at every stage. The
// answer is whole.
func TestOneMemberFails(t *testing.T) {
	for _, zones := range []bool{false, true} {
		for name, at := range map[string]stage{"open": opening, "rows": telling, "ask": asking} {
			for how, with := range map[string]error{"fails": fault.New(fault.Unavailable, "stopping"), "breaks": errors.New("broken"), "hangs": nil} {
				t.Run(fmt.Sprintf("%s %s, zones=%t", name, how, zones), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { oneFails(t, zones, at, with) })
				})
			}
		}
	}
}

func oneFails(t *testing.T, zones bool, at stage, with error) {
	for i := range 5 {
		c := newCast(t, 3)
		c.zones = zones
		failing := slices.Concat(c.ingesters, c.gateways)[i]
		failing.fails, failing.with = at, with
		restarts, n := 0.0, tries
		if testing.Short() { // under the race detector, where it is slow
			n = 4
		}
		for range n {
			failing.asked, failing.opened = 0, 0
			begin := time.Now()
			got, err := c.read(t.Context())
			require.NoError(t, err, "%s fails", failing.name)
			require.EqualValues(t, profiles, got, "%s fails", failing.name)
			require.LessOrEqual(t, time.Since(begin), hangsAfter+2*hedgeAfter)
			lost := testutil.ToFloat64(c.metrics.lost)
			if at == asking && failing.asked > 0 {
				require.Equal(t, restarts+1, lost, "asked again")
				require.Equal(t, 1, failing.opened, "without it")
			}
			require.LessOrEqual(t, lost, restarts+1)
			restarts = lost
		}
		if n == tries && at != opening && (failing.name != "i1" || zones) && i < 3 {
			require.Positive(t, restarts, "%s was asked", failing.name)
		}
	}
}

// TestAloneWithReplicas reads units of several databases in one process, as the
// bucket of a cluster has them.
func TestAloneWithReplicas(t *testing.T) {
	var units []query.Queryable
	for i := range 3 {
		u := &several{unit: &unit{name: "r", origin: query.Origin{ID: id(byte(10 + i)), Source: id(byte(10 + i))}}}
		for p := range 5 {
			if p != i {
				u.ids = append(u.ids, uint64(p))
			}
		}
		units = append(units, u)
	}
	early, late := &store{units: units[:1]}, &store{units: append(units, block("r", 9, 10))}
	q := alone(early, late)
	typ, err := profile.ParseType(cpu)
	require.NoError(t, err)
	what := question.Question{Kind: question.Tree, WantVersion: true, Selection: query.Selection{Type: typ, Range: profile.TimeRange{Start: 100, End: 200}}}
	a, err := q.Ask(anonymous(), &what)
	require.NoError(t, err)
	require.EqualValues(t, 5, a.Tree.Total())
	require.NotZero(t, a.Version)
	what.Known = a.Version
	again, err := q.Ask(anonymous(), &what)
	require.NoError(t, err)
	require.Equal(t, &question.Answer{Version: a.Version, Unchanged: true}, again)
	require.Zero(t, early.open)
	require.Zero(t, late.open)
}
