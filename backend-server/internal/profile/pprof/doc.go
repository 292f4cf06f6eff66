// Package pprof reads and writes the pprof wire format, the protobuf message
// perftools.profiles.Profile, plain or in gzip.
//
// # Why a decoder of our own
//
// Every profile passes through it once, so it is the hottest code of the write
// path after the inflater. A generated decoder makes an object for every
// sample, location and line; this one walks the bytes and fills the flat arrays
// of a profile.Profile, which are kept from profile to profile. Once warm it
// allocates nothing. Strings are not copied: they lie in the decompressed
// bytes.
//
// # How
//
// A skim over the top level notes where each message and string lies. Only then
// are they decoded, kind by kind, in the order strings, mappings, functions,
// locations, samples, so that each finds what it refers to already there,
// whatever order they were sent in. IDs of the wire become indices on the way
// (idTable). Repeated numbers may be packed or not, or both; unknown fields are
// skipped.
//
// Each kind has a loop for the layouts that encoders write: tags of one byte,
// numbers of few. Whatever does not fit goes to wireField, which knows the whole
// encoding and has the errors; a loop gives up before it has changed anything,
// or what it has done is taken back. What makes the loops fast: they do not
// call, so that their variables stay in registers, and they branch on what the
// processor can guess, such as the length of a number that grows from message
// to message.
//
// What is accepted is what google/pprof's ParseUncompressed and CheckValid
// accept, less
//
//   - strings that are not UTF-8,
//   - profiles without any sample type;
//
// FuzzDecode holds the two against each other. A location's mapping_id that no
// mapping has stands for "no mapping", as it does there.
//
// # Normalisation
//
// The invariants P1 to P5 of package profile hold for what Decode returns:
//
//   - a sample with a negative value is dropped whole, one with only zeros too;
//     both are counted;
//   - "[go.shape...]" is taken out of function names;
//   - a location without lines becomes a frame named file+0xaddress, where file
//     is the base name of the mapping's file and address the address within it;
//     0xaddress without a file; [unknown] without either;
//   - the Address of a location with lines is 0;
//   - of a stack deeper than Options.MaxStackDepth frames, inlined ones counted,
//     the frames nearest the root give way to one frame [truncated];
//   - string labels of samples become label sets, by which the samples are
//     sorted; the order within one set is the order of the wire. A label key
//     that occurs twice in a sample counts once, with its first value.
//     Numeric labels are ignored.
//
// The labels span_id, "span id" and profile_id (16 hexadecimal digits, read as
// one big-endian number) and trace_id and "trace id" (32) do not become label
// sets: they are Sample.SpanID and Sample.TraceID. Where they are not of that
// form they are ignored.
package pprof
