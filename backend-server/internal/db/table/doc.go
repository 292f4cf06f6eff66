// Package table writes and reads flat Parquet tables, several of them in one
// file.
//
// Every table is a valid Parquet file of its own: the bytes of the common file
// from its begin to the end of the table's footer. That works because Parquet
// addresses column chunks by their offset in the file and is opened from its
// end. So the columns of many tables may lie mixed, what is read together side
// by side, while the footers stand close together at the end of the file, where
// one read gets them all.
//
// Only what a block needs is supported: required columns without nesting, of
// 32- and 64-bit unsigned numbers and of byte strings; numbers split into byte
// streams (BYTE_STREAM_SPLIT) or plain, byte strings plain; zstd or nothing.
// Bits are never packed across bytes, because that hides repeats from zstd:
// measured on stack numbers and values of real profiles, packed numbers
// compress to two to four times the size of the same numbers in whole bytes.
// Statistics, dictionaries and bloom filters, which nothing would read, are not
// written.
//
// Invariants:
//
//	T1  every page has a CRC-32 and is checked when it is read;
//	T2  nothing is taken from a footer or a header without a bound: a damaged
//	    table is an error of kind Corrupt, and memory is not taken on its word.
package table
