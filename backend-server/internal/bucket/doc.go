// Package bucket is the long-term storage: an object store, opened from the
// configuration, and the rules for what lies in it.
//
// The store itself is thanos-io/objstore's (package store has its kinds). This
// package adds the names of a block's objects (paths.go), the upload of a block,
// reading one by range, copying and deleting one, a trial of all operations at
// the start, whose failure says which setting to look at (check.go), and a marker
// by which a bucket is known again (guard.go).
//
//	hearth-bucket.json               the marker
//	~check/<ULID>                    of the trial, for a moment
//	<tenant>/blocks/<ULID>/          a block: data.hearth, meta.json
//	<tenant>/index.json.gz, marks/   which blocks count, package catalog
//	<tenant>/deletions/, audit/      what is deleted, package deletion
//	<tenant>/imported/               what was imported, package importer
//
// An upload can be cut off anywhere, by a crash or by the store, and some
// stores (a file system among them) can be left with half an object. Hence:
//
//	B1  the meta file is uploaded last, after every other object of the block
//	    has been found to be there with the size that the meta file states, and
//	    deleted first; a block without a meta file does not exist for readers;
//	B2  an upload that is repeated goes on where the last one ended: an object
//	    is skipped only if its size and checksum are those of the meta file, and
//	    if it is not so old that it may be about to be cleaned up;
//	B3  a file that does not have the checksum its block states is not
//	    uploaded: a copy of a broken block must not pass for a good one.
package bucket
