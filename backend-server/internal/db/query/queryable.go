// Package query answers questions about profiles from any set of heads and
// blocks.
//
// A head and a block satisfy the same small interface, Queryable; everything
// else, summing, trees, time series, label listings, is written once on top
// of it. The functions of this package take the list of Queryables that
// together hold the data, each profile in exactly one of them, and never know
// which is which.
package query

import (
	"context"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Queryable is a set of profiles: a head, a block on disk, a block in a bucket.
// All methods may be called concurrently.
type Queryable interface {
	// Origin tells which data this is.
	Origin() Origin
	// TimeRange is the range of the profiles' times; it may be wider.
	TimeRange() profile.TimeRange
	// Select returns the series that all matchers match, in no certain order.
	Select(ctx context.Context, matchers ...*labels.Matcher) ([]Series, error)
	// Symbols returns the symbols of a partition. They cover every stack that a
	// Scan begun earlier has returned.
	Symbols(ctx context.Context, partition uint32) (*symbols.Table, error)
	// Scan calls fn for every stored row that req asks for, until fn fails. The
	// row is good until fn returns.
	Scan(ctx context.Context, req ScanRequest, fn func(*Row) error) error
}

// Origin identifies the data of a Queryable, so that a reader that meets the
// same data twice (a head and the block made from it, a local block and its
// copy in the bucket) counts it once.
type Origin struct {
	ID     ulid.ULID // of the block, or of the head
	Parent ulid.ULID // for a block: the head it was cut from; otherwise zero
	// Source is the database that took the profiles in. It holds each of them
	// once; another source may have the same ones. Zero for blocks from before
	// there were sources.
	Source ulid.ULID
}

// Series is one series of one profile type.
type Series struct {
	Labels    labels.Labels // with the labels of the profile type
	Partition uint32
	// Rows is the row series that holds this series' profiles. Proportional
	// sample types of a profile share one row series.
	Rows uint32
	// Scaled says that the values of this series are the row's values times
	// the row's Unit.
	Scaled bool
}

// IsCounter reports whether the rows are what running totals grew by.
func (s Series) IsCounter() bool {
	return profile.IsCounter(s.Labels, s.Labels.Get(profile.LabelType))
}

// ScanRequest asks for the rows of some row series of one partition.
type ScanRequest struct {
	Partition uint32
	Rows      []uint32 // row series, ascending
	Range     profile.TimeRange
	// TotalsOnly leaves Stacks and Values of the rows empty, which is cheaper.
	TotalsOnly bool
	// Spans asks for the rows' span samples too.
	Spans bool
	// Since asks for Row.Since too.
	Since bool
}

// Row is one profile of one row series: values by stack.
type Row struct {
	Rows  uint32 // the row series
	Time  profile.UnixMilli
	ID    uint64
	Total int64 // sum of Values, saturated
	Unit  int64 // factor for scaled series, at least 1
	N     int   // number of samples, set even where Stacks is left empty
	// Since is, of a running total, how long before Time the profile was that it
	// is compared with, in milliseconds: the row is what it grew by in between. 0
	// where nobody knows, where values are no running totals, and where the request
	// does not ask for it.
	Since uint32
	// Stacks are stack indices of the partition, ascending and distinct.
	Stacks []uint32
	Values []int64
	Spans  []SpanSample
}

// SpanSample is the part of a row's value for one stack that was sampled
// within one span.
type SpanSample struct {
	Stack   uint32
	SpanID  uint64
	TraceID [16]byte
	Value   int64
}
