// Package pyroblock reads the blocks that Pyroscope (storage v1) and Phlare
// have left in a bucket or on a disk. It knows nothing of Hearth but the kinds
// of errors.
//
// # Layout of a block
//
//	meta.json          version 1 to 3; which files there are
//	index.tsdb         labels of series, in the format of Prometheus' index with
//	                   a fingerprint before each series
//	profiles.parquet   a row is a profile of one sample type: series, time, stack
//	                   trace IDs and values
//	stack traces       version 1: stacktraces.parquet, lists of locations;
//	                   later: symbols/index.symdb and symbols/stacktraces.symdb,
//	                   trees of locations
//	symbols            {locations,functions,mappings,strings}.parquet, beside
//	                   meta.json or in symbols/
//
// Everything refers by position: row n of a table is thing n. In the newest
// layout symbols are partitioned: a partition has ranges of rows of each table,
// and positions count from the begin of its range. Tables of downsampled
// profiles (profiles_5m_sum.parquet and the like) are left out.
//
// # Damage
//
// What is read comes from somewhere else and may be anything. Every position is
// checked, checksums are where there are any, sizes are bounded by the file,
// and a panic of the Parquet reader is an error; all of these are of the kind
// Corrupt.
package pyroblock
