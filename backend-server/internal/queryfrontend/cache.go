package queryfrontend

import (
	"container/list"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// cache keeps answers for as long as there is room, the ones used last. An
// answer in it may be of data that is no more: who takes one has it confirmed
// (F3).
type cache struct {
	limit int64 // bytes
	grown func(int64)

	mu struct {
		sync.Mutex
		entries map[string]*list.Element // of *entry, by key
		used    *list.List               // the one used last in front
		bytes   int64
	}
}

// entry is an answer in the form that takes the least room and shares nothing
// with other answers.
type entry struct {
	key     string
	version question.Version
	packed  []byte // tree or profile
	series  *series.Builder
	bytes   int64
}

// entryBytes estimates what an entry takes besides its key and its answer.
const entryBytes = 256

func newCache(limit int64, grown func(int64)) *cache {
	c := &cache{limit: limit, grown: grown}
	c.mu.entries, c.mu.used = map[string]*list.Element{}, list.New()
	return c
}

func (c *cache) get(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.mu.entries[key]
	if e == nil {
		return nil
	}
	c.mu.used.MoveToFront(e)
	return e.Value.(*entry)
}

func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.mu.bytes
	if old := c.mu.entries[e.key]; old != nil {
		c.remove(old)
	}
	if e.bytes <= c.limit {
		c.mu.entries[e.key] = c.mu.used.PushFront(e)
		c.mu.bytes += e.bytes
	}
	for c.mu.bytes > c.limit {
		c.remove(c.mu.used.Back())
	}
	c.grown(c.mu.bytes - before)
}

func (c *cache) remove(e *list.Element) {
	old := c.mu.used.Remove(e).(*entry)
	delete(c.mu.entries, old.key)
	c.mu.bytes -= old.bytes
}

// pack makes an entry of an answer.
func pack(key string, kind question.Kind, a *question.Answer) *entry {
	e := &entry{key: key, version: a.Version, bytes: entryBytes + int64(len(key))}
	switch kind {
	case question.Tree:
		e.packed = slices.Clip(a.Tree.AppendPacked(nil))
	case question.Profile:
		e.packed = slices.Clip(flat.AppendProfile(nil, query.Lean(a.Profile)))
	case question.Series:
		e.series = a.Series
		e.bytes += a.Series.Bytes()
	}
	e.bytes += int64(len(e.packed))
	return e
}

// unpack returns the answer. A series in it is shared and must only be read.
func (e *entry) unpack(kind question.Kind) (*question.Answer, error) {
	a := &question.Answer{Version: e.version, Series: e.series}
	var err error
	switch kind {
	case question.Tree:
		a.Tree, err = tree.Unpack(e.packed)
	case question.Profile:
		a.Profile, err = flat.DecodeProfile(e.packed)
	}
	return a, err
}

// keyOf returns what tells questions of tenants apart. The order of matchers
// does not.
func keyOf(tenantID string, q *question.Question) string {
	k := keyWriter{make([]byte, 0, 256)}
	k.text(tenantID)
	k.number(int64(q.Kind))
	s := &q.Selection
	k.text(s.Type.String())
	matchers := make([]string, len(s.Matchers))
	for i, m := range s.Matchers {
		matchers[i] = m.String()
	}
	slices.SortFunc(matchers, strings.Compare)
	k.texts(matchers)
	k.number(int64(s.Range.Start))
	k.number(int64(s.Range.End))
	k.texts(s.CallSite)
	k.ids(s.Spans)
	k.ids(s.ProfileIDs)
	if q.Kind == question.Series {
		k.number(int64(q.Grid.Start))
		k.number(int64(q.Grid.End))
		k.number(q.Grid.StepMillis)
		k.number(int64(q.Aggregation()))
		k.texts(q.GroupBy)
	}
	return string(k.b)
}

// keyWriter writes values one after the other so that no two sequences of them
// look the same.
type keyWriter struct{ b []byte }

func (k *keyWriter) number(n int64) { k.b = binary.AppendVarint(k.b, n) }

func (k *keyWriter) text(s string) {
	k.number(int64(len(s)))
	k.b = append(k.b, s...)
}

// none is the length of a list that is nil, which is not one without elements.
const none = -1

func (k *keyWriter) texts(list []string) {
	if list == nil {
		k.number(none)
		return
	}
	k.number(int64(len(list)))
	for _, s := range list {
		k.text(s)
	}
}

func (k *keyWriter) ids(list []uint64) {
	if list == nil {
		k.number(none)
		return
	}
	k.number(int64(len(list)))
	for _, id := range list {
		k.b = binary.BigEndian.AppendUint64(k.b, id)
	}
}
