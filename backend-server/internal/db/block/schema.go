package block

import "github.com/hearth-profiles/hearth/backend-server/internal/db/table"

// The tables of a block. ../FORMAT.md says what each column means. The numbers
// below are those of the columns.

var (
	schemaRows       = table.Schema{Name: sectionRows, Columns: rowTableColumns("id", table.Random)}
	schemaSums       = table.Schema{Name: sectionSums, Columns: rowTableColumns("step", table.Uint64)}
	schemaSpans      = numbers64(sectionSpans, "row", "stack", "span_id", "trace_high", "trace_low", "value")
	schemaStacks     = numbers32(sectionStacks, "node")
	schemaNodes      = numbers32(sectionNodes, "up", "location")
	schemaLocations  = table.Schema{Name: sectionLocations, Columns: []table.Column{{Name: "mapping"}, {Name: "address", Kind: table.Uint64}, {Name: "lines"}}}
	schemaLines      = table.Schema{Name: sectionLines, Columns: []table.Column{{Name: "function"}, {Name: "line", Kind: table.Uint64}}}
	schemaFunctions  = table.Schema{Name: sectionFunctions, Columns: []table.Column{{Name: "name"}, {Name: "system_name"}, {Name: "filename"}, {Name: "start_line", Kind: table.Uint64}}}
	schemaMappings   = numbers64(sectionMappings, "start", "limit", "offset", "file", "build_id", "has_functions")
	schemaStrings    = numbers32(sectionStrings, "shared", "length")
	schemaTexts      = table.Schema{Name: sectionTexts, Columns: []table.Column{{Name: "text", Kind: table.Bytes}}}
	schemaPartitions = table.Schema{Name: sectionPartitions, Columns: append([]table.Column{{Name: "service", Kind: table.Bytes}},
		numbers64("", "row_series", "groups", "strings", "mappings", "functions", "lines", "locations", "nodes", "stacks", "spans").Columns...)}
	schemaGroups    = numbers64(sectionGroups, "step", "sums")
	schemaRowSeries = numbers64(sectionRowSeries, "group", "rows")
	schemaSeries    = numbers64(sectionSeries, "row_series", "scaled")
	schemaDigests   = table.Schema{Name: sectionDigests, Columns: []table.Column{{Name: "window", Kind: table.Uint64}, {Name: "count", Kind: table.Uint64}, {Name: "sum", Kind: table.Random}}}
	schemaCounters  = numbers64(sectionCounters, "digest", "begin", "end")
	schemaSince     = numbers32(sectionSince, "since")
)

// schemas are all tables by name.
var schemas = func() map[string]table.Schema {
	out := map[string]table.Schema{}
	for _, s := range []table.Schema{
		schemaRows, schemaSums, schemaSpans, schemaStacks, schemaNodes, schemaLocations, schemaLines, schemaFunctions, schemaMappings,
		schemaStrings, schemaTexts, schemaPartitions, schemaGroups, schemaRowSeries, schemaSeries, schemaDigests, schemaCounters, schemaSince,
	} {
		out[s.Name] = s
	}
	return out
}()

// Columns of rows and of sums.
const (
	colTime = iota
	colID   // of sums: colStep
	colTotal
	colUnit
	colN
	colRelative
	colStacks
	colValues
)

func rowTableColumns(second string, kind table.Kind) []table.Column {
	return []table.Column{
		{Name: "time", Kind: table.Uint64}, {Name: second, Kind: kind}, {Name: "total", Kind: table.Uint64}, {Name: "unit", Kind: table.Uint64},
		{Name: "n"}, {Name: "relative"}, {Name: "stacks", Kind: table.Bytes}, {Name: "values", Kind: table.Bytes},
	}
}

func numbers32(name string, columns ...string) table.Schema {
	return numbers(name, table.Uint32, columns)
}
func numbers64(name string, columns ...string) table.Schema {
	return numbers(name, table.Uint64, columns)
}

func numbers(name string, kind table.Kind, columns []string) table.Schema {
	s := table.Schema{Name: name}
	for _, c := range columns {
		s.Columns = append(s.Columns, table.Column{Name: c, Kind: kind})
	}
	return s
}

// symbolSchemas are the tables that hold a partition's symbols, in the order
// that partitionCounts and a bundle have them.
var symbolSchemas = [...]table.Schema{
	symStrings: schemaStrings, symMappings: schemaMappings, symFunctions: schemaFunctions, symLines: schemaLines,
	symLocations: schemaLocations, symNodes: schemaNodes, symStacks: schemaStacks,
}

// Numbers of the symbol tables.
const (
	symStrings = iota
	symMappings
	symFunctions
	symLines
	symLocations
	symNodes // without the root
	symStacks
	symTables
)

// zigzag maps small numbers of either sign to small numbers.
func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func zigzag32(v int32) uint32   { return uint32(v<<1) ^ uint32(v>>31) }
func unzigzag32(v uint32) int32 { return int32(v>>1) ^ -int32(v&1) }
