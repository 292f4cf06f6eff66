// Package admin takes requests to delete profiles: it checks them, says before
// what they would do, stores them, has everybody told, and writes down who wanted
// what.
//
// # Order
//
// A request is written to the audit log first, then stored, then announced. So
// nothing is deleted that the log does not know, and when the answer says that it
// is done, no reader shows what is deleted. A request that fails on the way is
// repeated: one for the same selector and range as a deletion in force adds
// nothing, and announces it again.
//
// To take a deletion back goes the same way. What compaction has removed by then
// stays removed.
package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Deps is what an Admin works with.
type Deps struct {
	Bucket objstore.Bucket
	// Asker answers questions for the tenant of the context.
	Asker question.Asker
	// Announce has all who show data read the tenant's deletions again. Its error
	// says who has not been told.
	Announce func(ctx context.Context, tenantID string) error
	// Blocks returns the blocks of the bucket that may have what a rule is about.
	// It may be nil, and is NotFound as long as nobody knows.
	Blocks func(ctx context.Context, tenantID string, r *deletion.Rule) ([]Block, error)
	Now    func() time.Time
	Logger *slog.Logger
}

// Block is a block of the bucket that a rule may concern.
type Block struct {
	ID    ulid.ULID
	Bytes int64
	// Applied says that it was written without what the rule deletes.
	Applied bool
}

// Admin takes requests of the tenant of the context. It is safe for concurrent
// use.
type Admin struct{ deps Deps }

// New returns an Admin.
func New(d Deps) *Admin { return &Admin{d} }

// Request asks for profiles to be deleted.
type Request struct {
	// Query is a selector. To delete everything it must be {}.
	Query      string
	Start, End profile.UnixMilli // both included
	Reason     string
}

// State is what has become of a deletion.
type State struct {
	deletion.Rule
	// Existed says that the request added nothing: it was in force already.
	Existed bool
	// Blocks and Bytes are what of the bucket still has to be rewritten; Known
	// says whether they are known.
	Blocks int
	Bytes  int64
	Known  bool
}
