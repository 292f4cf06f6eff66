// Package flat writes profiles and records down for another process of the
// cluster: a distributor's records for ingesters, a querier's profile for a
// query-frontend. Nothing is kept in this form.
//
// # Why
//
// A record goes to three ingesters, so what it costs to write and to read
// counts more than anything that is done with it in between. A generated
// message has an object for each sample, location and line; a profile.Profile
// is a few arrays, and here they are written one after the other. Numbers have
// one width in all of a column, the least that fits, so that the loops have
// nothing to decide; where a column is narrow it is nearly as small as with
// numbers of varying length.
//
// # Layout
//
// All integers are little-endian. "number" is a varint, "text" its length and
// bytes, "column" a width in bytes (0, 1, 2, 4, 8) and, for each element, a
// number of that width. Elements in columns of width 0 are all 0.
//
//	message  version (1 byte), then parts until the end
//	part     kind (1 byte), then one of
//	  1 symbols  number of types, of each its texts type and unit; the same of
//	             the period type; the numbers period, time, duration, and the
//	             four counts of what was dropped;
//	             strings:   count, column of lengths, all bytes
//	             mappings:  count, columns start, limit, offset, file, build ID, has functions
//	             functions: count, columns name, system name, file name, start line
//	             locations: count, columns mapping, address, number of lines
//	             lines:     columns function, line
//	  2 record   ID (8 bytes), number time; labels: count, names and values as
//	             texts, in order of name; samples
//	  3 samples  label sets: count, of each the count and texts of its labels;
//	             column group; samples
//	samples  count; column number of frames; column frames, of all samples;
//	         a column for each type: values; columns span ID, first and second
//	         half of the trace ID
//
// A whole profile is symbols and samples. A batch is profiles, each its symbols
// and then its records. Records have no label sets: what of them is to be
// stored is in the labels. A batch is made of pieces that are written once and
// put together anew for each receiver, whose records alone it is sent.
//
// Symbols that no sample of the records sent refers to are sent all the same;
// to find out which they are costs more than they do.
//
// # Invariants
//
//	F1  what the decoder returns keeps P1 to P3 and P5 of package profile,
//	    whatever the bytes; the depth of stacks (P4) is left to those who
//	    decoded the profile, the limit is theirs;
//	F2  the memory of what is decoded is bounded by a multiple of the size of
//	    the message: each element costs at least a byte, since some column of
//	    each kind must not have the width 0;
//	F3  bytes that were not written by this package, or were damaged, are an
//	    error of kind fault.Corrupt, a version or a part that is not known one
//	    of kind fault.Unimplemented.
package flat
