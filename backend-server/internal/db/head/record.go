package head

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A log record:
//
//	byte kind, string service, tail of symbols (see symbols.AppendTail),
//	8 bytes key, varint time, uvarint number of rows, and for each row:
//	  uvarint row series, byte 0, or where the log does not have it yet byte 1,
//	  or 2 for a counter, and the definition, uvarint unit, uvarint number of
//	  samples, uvarint length and samples, uvarint length and span samples
//	definition: labels, then sample type, scaled type, period type, each as
//	  two strings; labels: uvarint count, name and value strings
//	string: uvarint length, bytes
//
// The rows of a counter hold running totals; what is kept of them follows from
// the rows before.
const (
	profileRecord = 1 // a profile
	carriedRecord = 2 // totals of counters, carried over from the head before; in place of the key, totals.seen
)

// appendRecord appends the log record for rows. The caller holds p.mu.
func (p *partition) appendRecord(dst []byte, kind byte, key uint64, t profile.UnixMilli, rows []newRow) []byte {
	dst = appendString(append(dst, kind), p.name)
	dst = p.in.AppendTail(dst, p.logged)
	dst = binary.BigEndian.AppendUint64(dst, key)
	dst = binary.AppendVarint(dst, int64(t))
	dst = binary.AppendUvarint(dst, uint64(len(rows)))
	for _, r := range rows {
		dst = binary.AppendUvarint(dst, uint64(r.series.index))
		if r.series.logged {
			dst = append(dst, 0)
		} else {
			dst = appendDefinition(dst, r.series)
		}
		dst = binary.AppendUvarint(dst, uint64(r.unit))
		dst = binary.AppendUvarint(dst, uint64(r.n))
		dst = append(binary.AppendUvarint(dst, uint64(len(r.data))), r.data...)
		dst = append(binary.AppendUvarint(dst, uint64(len(r.spans))), r.spans...)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendDefinition(dst []byte, s *rowSeries) []byte {
	if s.counter {
		dst = append(dst, 2)
	} else {
		dst = append(dst, 1)
	}
	dst = binary.AppendUvarint(dst, uint64(s.labels.Len()))
	s.labels.Range(func(l labels.Label) {
		dst = appendString(appendString(dst, l.Name), l.Value)
	})
	for _, v := range []profile.ValueType{s.column, s.scaleT, s.period} {
		dst = appendString(appendString(dst, v.Type), v.Unit)
	}
	return dst
}
