package block

// The Parquet tables of a block, one struct a row. The field order is the
// column order; readers address columns by the numbers below.

// rowRecord is one profile of one row series.
type rowRecord struct {
	Series  uint32         `parquet:"series,delta"` // row series within the block
	Time    int64          `parquet:"time,delta"`   // milliseconds since the epoch
	ID      uint64         `parquet:"id,plain"`
	Total   int64          `parquet:"total,delta"`
	Unit    int64          `parquet:"unit,dict"`
	N       uint32         `parquet:"n,delta"` // number of samples
	Samples []sampleRecord `parquet:"samples,list"`
}

type sampleRecord struct {
	Stack uint32 `parquet:"stack,delta"` // rank within the partition
	Value int64  `parquet:"value,dict"`
}

const (
	colRowSeries = iota
	colRowTime
	colRowID
	colRowTotal
	colRowUnit
	colRowN
	colRowStack
	colRowValue
)

// spanRecord is a part of a row's value that was sampled within a span.
type spanRecord struct {
	Row       uint64 `parquet:"row,delta"` // number of the row in the rows table
	Stack     uint32 `parquet:"stack,delta"`
	SpanID    uint64 `parquet:"span_id,plain"`
	TraceHigh uint64 `parquet:"trace_high,dict"`
	TraceLow  uint64 `parquet:"trace_low,dict"`
	Value     int64  `parquet:"value,dict"`
}

// partitionRecord says which rows of the symbol tables are a partition's. The
// first entries follow from the sums of the counts before.
type partitionRecord struct {
	Service   string `parquet:"service"`
	Series    uint32 `parquet:"series"` // row series
	Strings   uint32 `parquet:"strings"`
	Mappings  uint32 `parquet:"mappings"`
	Functions uint32 `parquet:"functions"`
	Lines     uint32 `parquet:"lines"`
	Locations uint32 `parquet:"locations"`
	Nodes     uint32 `parquet:"nodes"` // without the root
	Stacks    uint32 `parquet:"stacks"`
}

// seriesRecord says where the profiles of a series are. The index refers to
// it by number.
type seriesRecord struct {
	Partition uint32 `parquet:"partition,delta"`
	Rows      uint32 `parquet:"rows,delta"`
	Scaled    uint32 `parquet:"scaled,delta"` // 1: the values are times the row's unit
}

type stringRecord struct {
	Text string `parquet:"text,delta"`
}

type mappingRecord struct {
	Start        uint64 `parquet:"start,plain"`
	Limit        uint64 `parquet:"limit,plain"`
	Offset       uint64 `parquet:"offset,plain"`
	File         uint32 `parquet:"file,plain"`
	BuildID      uint32 `parquet:"build_id,plain"`
	HasFunctions uint32 `parquet:"has_functions,plain"`
}

type functionRecord struct {
	Name       uint32 `parquet:"name,delta"`
	SystemName uint32 `parquet:"system_name,delta"`
	Filename   uint32 `parquet:"filename,dict"`
	StartLine  int64  `parquet:"start_line,delta"`
}

type lineRecord struct {
	Function uint32 `parquet:"function,delta"`
	Line     int64  `parquet:"line,delta"`
}

type locationRecord struct {
	Mapping uint32 `parquet:"mapping,dict"`
	Address uint64 `parquet:"address,delta"`
	Lines   uint32 `parquet:"lines,dict"` // how many
}

// nodeRecord is a node of the stack tree, in depth-first order, the root left
// out. Up is how many levels above the node before this node's parent lies.
type nodeRecord struct {
	Up       uint32 `parquet:"up,dict"`
	Location uint32 `parquet:"location,plain"`
}

type stackRecord struct {
	Node uint32 `parquet:"node,delta"`
}
