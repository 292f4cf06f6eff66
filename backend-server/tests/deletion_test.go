package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore/providers/filesystem"
)

// deleting is a cluster that profiles are deleted from, and what is left.
type deleting struct {
	*fleet
	history   *history
	overrides string // the file of -retention.overrides
	fronts    []*endpoint
	shelf     *shelf
	deleted   []part
}

func newDeleting(t *testing.T, places []place) *deleting {
	t.Helper()
	overrides := filepath.Join(t.TempDir(), "retention.yaml")
	require.NoError(t, os.WriteFile(overrides, nil, 0o644))
	f := newFleet(t, newLoopback(t), places, "-compactor.after=0s", "-compactor.interval=1h", "-compactor.ranges=1h", "-retention.overrides="+overrides)
	dir := filepath.Join(f.dir, "bucket")
	bkt, err := filesystem.NewBucket(dir)
	require.NoError(t, err)
	return &deleting{f, newHistory("deleted", 3*time.Hour), overrides, f.endpoints("query-frontend"), &shelf{dir: dir, bkt: bkt}, nil}
}

// push sends n more profiles.
func (d *deleting) push(n int) {
	d.t.Helper()
	d.history.push(d.t, n, d.with("distributor")[0].server)
}

// compact has all compactors make a round; each tenant is one's.
func (d *deleting) compact() {
	d.t.Helper()
	for _, m := range d.with("compactor") {
		if m.up {
			round(d.t, m.server)
		}
	}
}

// verify holds all fronts to what there is.
func (d *deleting) verify(when string) {
	d.t.Helper()
	for _, front := range d.fronts {
		if up := d.named(front.name).up; up {
			d.history.everywhere(d.t, front.server, when+", from "+front.name)
		}
	}
}

// answer is what a request about deletions is answered with.
type answer struct {
	ID, State, Message string
	End                int64
	Existed            bool
	Series, Profiles   int
	Deletions          []answer
	Reason             string
	Events             []struct{ Event string }
}

// call makes a request about deletions, of a compactor that is up.
func (d *deleting) call(method, path string, body any) (int, answer) {
	d.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(d.t, err)
	at := slices.IndexFunc(d.with("compactor"), func(m *member) bool { return m.up })
	code, text := do(method, d.with("compactor")[at].url+"/hearth/v1/"+path, "application/json", raw)
	var a answer
	require.NoError(d.t, json.Unmarshal([]byte(text), &a), text)
	return code, a
}

// part is profiles of a pod from one time to another.
type part struct {
	pod      string
	from, to time.Time
}

// minutes returns a part that begins and ends some minutes after the history does.
func (d *deleting) minutes(pod string, from, to int) part {
	return part{pod, d.history.begin.Add(time.Duration(from) * time.Minute), d.history.begin.Add(time.Duration(to) * time.Minute)}
}

// request asks for a part to be deleted.
func (d *deleting) request(p part, dry bool) (int, answer) {
	d.t.Helper()
	return d.call(http.MethodPost, "deletions", map[string]any{
		"query": fmt.Sprintf("{pod=%q}", p.pod), "start": p.from.UnixMilli(), "end": p.to.UnixMilli(), "dry_run": dry, "reason": "a test", "by": "the test",
	})
}

// delete deletes a part: from the moment of the answer it is not shown.
func (d *deleting) delete(p part, when string) (id string) {
	d.t.Helper()
	dryCode, dry := d.request(p, true)
	require.Equal(d.t, http.StatusOK, dryCode, dry.Message)
	code, a := d.request(p, false)
	require.Equal(d.t, http.StatusCreated, code, a.Message)
	n := d.forget(p)
	require.Positive(d.t, n)
	require.Equal(d.t, n, dry.Profiles, "what the dry run counted")
	require.Equal(d.t, 1, dry.Series)
	d.verify(when)
	return a.ID
}

// forget notes that a part is deleted, whatever comes.
func (d *deleting) forget(p part) (n int) {
	d.deleted = append(d.deleted, p)
	return d.history.forget(p.pod, p.from, p.to)
}

// late sends a profile that is deleted before it comes.
func (d *deleting) late(p part) {
	d.t.Helper()
	at := p.from.Add(p.to.Sub(p.from) / 2).Truncate(time.Second).Add(500 * time.Millisecond)
	for range 2 {
		at = at.Add(time.Millisecond)
		require.NoError(d.t, push(d.t.Context(), d.with("distributor")[0].pusher(),
			rawSeries(map[string]string{"service_name": "deleted-" + p.pod, "pod": p.pod}, encode(d.t, at, 77))))
	}
}

// rewritten has the compactor take out what is deleted, and looks at the blocks.
func (d *deleting) rewritten(when string) {
	d.t.Helper()
	for _, m := range d.with("ingester") {
		m.flush(d.t)
	}
	d.compact()
	d.compact()
	_, profiles := totals(d.history.values)
	require.EqualValues(d.t, profiles, d.shelf.rows(d.t), "%s: %s", when, d.shelf.list(d.t))
	code, a := d.call(http.MethodGet, "deletions", nil)
	require.Equal(d.t, http.StatusOK, code)
	for _, rule := range a.Deletions {
		require.Equal(d.t, "carried-out", rule.State, when)
	}
	d.verify(when)
}

// TestDeletion deletes profiles that lie in heads, local blocks, blocks of the
// bucket and compacted ones. What is deleted never answers again, from whatever
// cache or copy; what is not always does.
func TestDeletion(t *testing.T) {
	t.Parallel()
	d := newDeleting(t, []place{{"all", 3}})
	d.run("all-2")
}

// TestDeletionInRoles is TestDeletion where each role is a process.
func TestDeletionInRoles(t *testing.T) {
	long(t)
	t.Parallel()
	d := newDeleting(t, []place{{"store-gateway", 3}, {"query-scheduler", 1}, {"ingester", 3}, {"distributor", 1}, {"querier", 2}, {"query-frontend", 2}, {"compactor", 1}})
	d.run("store-gateway-2")
}

func (d *deleting) run(gateway string) {
	d.push(18)
	d.flushAll()
	d.compact()
	d.push(18)
	d.flushAll()
	d.push(18)
	d.verify("before")
	d.verify("before, from caches")

	some, all := d.minutes("pod-1", 20, 130), d.minutes("pod-2", 0, 180)
	d.delete(some, "some of a pod is deleted")
	d.delete(all, "all of a pod is deleted")
	d.late(some)
	d.late(all)
	d.verify("deleted profiles that come late")
	d.takenBack(d.minutes("pod-0", 30, 60))
	d.rewritten("blocks are rewritten")
	d.late(some)
	d.rewritten("blocks that came late are rewritten")
	for _, m := range d.members {
		m.restart()
	}
	d.settle()
	d.verify("after a new start of everything")
	d.whileDown(d.named(gateway), d.minutes("pod-0", 100, 120))
	d.retained()
	d.audited()
}

// takenBack deletes a part and takes that back, before blocks are rewritten.
func (d *deleting) takenBack(p part) {
	d.t.Helper()
	kept := maps.Clone(d.history.values[p.pod])
	id := d.delete(p, "deleted in error")
	d.history.values[p.pod], d.deleted = kept, d.deleted[:len(d.deleted)-1]
	code, a := d.call(http.MethodDelete, "deletions/"+id, nil)
	require.Equal(d.t, http.StatusOK, code, a.Message)
	d.verify("taken back")
}

// whileDown deletes while a store-gateway is down: that is not done before it
// knows.
func (d *deleting) whileDown(m *member, p part) {
	d.t.Helper()
	m.die()
	code, a := d.request(p, false)
	require.Equal(d.t, http.StatusServiceUnavailable, code)
	require.Contains(d.t, a.Message, m.name)
	d.start(m)
	d.settle()
	d.forget(p)
	d.verify("deleted while a store-gateway was down, which has started since")
	code, a = d.request(p, false)
	require.Equal(d.t, http.StatusOK, code, a.Message)
	require.True(d.t, a.Existed)
	d.rewritten("rewritten after that")
}

// retained changes the settings of retention while the cluster runs.
func (d *deleting) retained() {
	d.t.Helper()
	d.override(`{max-bytes: 1KiB}`)
	d.compact()
	_, a := d.call(http.MethodGet, "deletions", nil)
	at := slices.IndexFunc(a.Deletions, func(r answer) bool { return r.Reason == "-retention.max-bytes" })
	require.GreaterOrEqual(d.t, at, 0, "the size cap deletes: %s", d.shelf.list(d.t))
	for _, pod := range slices.Sorted(maps.Keys(d.history.values)) {
		d.forget(part{pod, d.history.begin, time.UnixMilli(a.Deletions[at].End)})
	}
	require.NotEmpty(d.t, d.history.values, "the youngest stays")
	d.verify("what is over the size cap is gone")
	// Retention goes by full hours; this one stays the same for half an hour.
	until := d.history.begin.Add(3 * time.Hour)
	d.override(`{period: %s, rules: ['{pod="pod-1"}=1y']}`, time.Since(until.Add(30*time.Minute)).Truncate(time.Second))
	require.NotEmpty(d.t, d.history.values["pod-1"])
	require.Positive(d.t, d.forget(part{"pod-0", d.history.begin, until}))
	d.verify("retention by pod")
	d.push(18)
	for _, p := range d.deleted {
		d.history.forget(p.pod, p.from, p.to)
	}
	for _, m := range d.with("ingester") {
		m.flush(d.t)
	}
	d.compact() // what is too old in part only stays in the blocks
	d.compact()
	d.verify("more has come meanwhile")
}

// override changes the settings of the tenant, and waits until all have read
// them that answer by them.
func (d *deleting) override(format string, args ...any) {
	d.t.Helper()
	const changed = "retention settings of tenants have changed"
	readers := slices.Concat(d.with("store-gateway"), d.with("compactor"))
	before := make([]int, len(readers))
	for i, m := range readers {
		before[i] = strings.Count(m.output(), changed)
	}
	require.NoError(d.t, os.WriteFile(d.overrides, []byte("anonymous: "+fmt.Sprintf(format, args...)), 0o644))
	for i, m := range readers {
		require.Eventually(d.t, func() bool { return strings.Count(m.output(), changed) > before[i] }, fleetPatience, 50*time.Millisecond, "%s reads its settings", m.name)
	}
}

// audited looks at the log of what was done.
func (d *deleting) audited() {
	d.t.Helper()
	code, a := d.call(http.MethodGet, "audit?limit=1000", nil)
	require.Equal(d.t, http.StatusOK, code, a.Message)
	count := map[string]int{}
	for _, e := range a.Events {
		count[e.Event]++
	}
	require.Equal(d.t, 4, count["deletion-requested"], "%v", count)
	require.Equal(d.t, 1, count["deletion-taken-back"], "%v", count)
	require.Positive(d.t, count["block-rewritten"], "%v", count)
	require.Positive(d.t, count["retention"], "%v", count)
}
