package query

import (
	"sync/atomic"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// LimitFlag is the setting that Limits.QueryBytes comes from, for errors.
const LimitFlag = "querier.max-query-bytes"

// budget is the memory that one question may use. What is taken is not given
// back before the end: what a question has read it holds.
type budget struct {
	limit int64 // 0: none
	used  atomic.Int64
}

func (e *Engine) budget() *budget { return &budget{limit: e.limits.QueryBytes} }

// take accounts for n bytes more.
func (b *budget) take(n int64) error {
	if used := b.used.Add(n); b.limit > 0 && used > b.limit {
		return fault.Reason(fault.TooLarge, "query_memory",
			"the query needs more than %d bytes of memory, the limit (-%s): ask for a shorter time range or fewer series", b.limit, LimitFlag)
	}
	return nil
}

// TableBytes estimates the memory of a partition's symbols.
func TableBytes(t *symbols.Table) int64 {
	const (
		text, mapping, function, line, location, node, stack = 16, 40, 24, 16, 24, 8, 4
		place                                                = 4 // in a call tree, of a node or a stack
	)
	n := int64(len(t.Strings))*text + int64(len(t.Mappings))*mapping + int64(len(t.Functions))*(function+place) +
		int64(len(t.Lines))*line + int64(len(t.Locations))*location +
		int64(len(t.Nodes))*(node+place) + int64(len(t.Stacks))*(stack+place)
	for _, s := range t.Strings {
		n += int64(len(s))
	}
	return n
}

// Memory of parts of answers.
const (
	bytesPerSum    = 8
	bytesPerFrame  = 4
	bytesPerMerged = 64 // a sample of a merged profile besides its frames
)
