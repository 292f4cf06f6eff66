package deletion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// EventKind is what has happened.
type EventKind string

// The kinds of events.
const (
	DeletionRequested EventKind = "deletion-requested"
	DeletionTakenBack EventKind = "deletion-taken-back"
	BlockRewritten    EventKind = "block-rewritten"
	BlockDeleted      EventKind = "block-deleted"
	RetentionEnforced EventKind = "retention"
)

// Event is an entry of the audit log: who had what deleted, and what became of
// it. Which fields are set depends on its kind.
type Event struct {
	ID   ulid.ULID // given by Append
	Time time.Time
	Kind EventKind
	Who  Who
	Rule *Rule
	// Blocks are those that were deleted, or rewritten.
	Blocks []ulid.ULID
	// Made are those that have taken their place.
	Made []ulid.ULID
	// Profiles is how many were removed for good, in rows.
	Profiles uint64
	Reason   string
}

// Who is whom an event is due to; empty for the server itself.
type Who struct {
	Tenant  string `json:"tenant,omitempty"`  // of the request
	Address string `json:"address,omitempty"` // that it came from
	By      string `json:"by,omitempty"`      // what the request says of its author
}

// storedEvent is an Event as JSON.
type storedEvent struct {
	object
	ID       ulid.ULID   `json:"id"`
	Time     time.Time   `json:"time"`
	Kind     EventKind   `json:"event"`
	Who      Who         `json:"who"`
	Rule     *storedRule `json:"rule,omitempty"`
	Blocks   []ulid.ULID `json:"blocks,omitempty"`
	Made     []ulid.ULID `json:"made,omitempty"`
	Profiles uint64      `json:"profiles,omitempty"`
	Reason   string      `json:"reason,omitempty"`
}

// Append adds an event to a tenant's audit log, at its time.
func Append(ctx context.Context, bkt objstore.Bucket, tenantID string, e Event) error {
	raw, id, err := marshalEvent(&e)
	if err == nil {
		err = bkt.Upload(ctx, objectName(tenantID, eventsDir, id), bytes.NewReader(raw))
	}
	if err != nil {
		return fmt.Errorf("audit log of %s: %w", tenantID, err)
	}
	return nil
}

func marshalEvent(e *Event) ([]byte, ulid.ULID, error) {
	id, err := ulid.New(ulid.Timestamp(e.Time), ulid.DefaultEntropy())
	if err != nil {
		return nil, id, err
	}
	s := storedEvent{
		object: object{version}, ID: id, Time: e.Time.UTC(), Kind: e.Kind, Who: e.Who,
		Blocks: e.Blocks, Made: e.Made, Profiles: e.Profiles, Reason: e.Reason,
	}
	if e.Rule != nil {
		if s.Rule, err = e.Rule.stored(); err != nil {
			return nil, id, err
		}
	}
	raw, err := json.Marshal(s)
	return raw, id, err
}

func unmarshalEvent(raw []byte) (*Event, error) {
	var s storedEvent
	if err := decode(raw, &s); err != nil {
		return nil, err
	}
	e := &Event{ID: s.ID, Time: s.Time, Kind: s.Kind, Who: s.Who, Blocks: s.Blocks, Made: s.Made, Profiles: s.Profiles, Reason: s.Reason}
	if s.Rule != nil {
		r, err := s.Rule.rule()
		if err != nil {
			return nil, fault.Mark(fault.Corrupt, err)
		}
		e.Rule = r
	}
	return e, nil
}

// Events returns the latest events of a tenant's audit log, limit at most, the
// newest first; those before a certain one unless that is zero.
func Events(ctx context.Context, bkt objstore.BucketReader, tenantID string, before ulid.ULID, limit int) ([]Event, error) {
	ids, err := list(ctx, bkt, tenantID, eventsDir)
	if err != nil {
		return nil, err
	}
	if before != (ulid.ULID{}) {
		n, _ := slices.BinarySearchFunc(ids, before, ulid.ULID.Compare)
		ids = ids[:n]
	}
	ids = ids[max(0, len(ids)-max(0, limit)):]
	slices.Reverse(ids)
	found, err := readEach(ctx, bkt, tenantID, eventsDir, ids, func(_ ulid.ULID, raw []byte) (*Event, error) { return unmarshalEvent(raw) })
	var out []Event
	for _, e := range found {
		out = append(out, *e)
	}
	return out, err
}
