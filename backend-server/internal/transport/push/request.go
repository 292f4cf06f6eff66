package push

import (
	"errors"
	"fmt"
	"sync"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// A request is a message push.v1.PushRequest. A binary one is read straight
// into series; its profiles lie in one copy of the message, whose memory serves
// one request after the other. One in JSON, which is rare, connect reads into
// the generated type.
type request struct {
	pushv1.PushRequest

	series []upload.Series
	body   *[]byte // what the profiles of series lie in
}

// bodies holds memory for requests, as *[]byte.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the largest piece of memory that is kept for the next request.
const maxKept = 8 << 20

// upload returns the series of the request.
func (r *request) upload() []upload.Series {
	if r.body != nil {
		return r.series
	}
	return toSeries(&r.PushRequest)
}

// release gives the memory of the profiles back. Nobody may use them any more.
func (r *request) release() {
	if r.body == nil || cap(*r.body) > maxKept {
		return
	}
	bodies.Put(r.body)
	r.series, r.body = nil, nil
}

func toSeries(req *pushv1.PushRequest) []upload.Series {
	out := make([]upload.Series, len(req.GetSeries()))
	for i, s := range req.GetSeries() {
		out[i].Labels = wire.ToPairs(s.GetLabels())
		out[i].Profiles = make([]upload.Profile, len(s.GetSamples()))
		for j, p := range s.GetSamples() {
			out[i].Profiles[j] = upload.Profile{Data: p.GetRawProfile(), ID: p.GetID()}
		}
	}
	return out
}

// read reads the message b, of which it keeps nothing. It leaves strings
// unchecked: a label that is not UTF-8 must cost its own series only, not the
// whole request.
func (r *request) read(b []byte) error {
	r.body = bodies.Get().(*[]byte)
	*r.body = append((*r.body)[:0], b...)
	r.series = make([]upload.Series, 0, count(*r.body, 1))
	return each(*r.body, 1, func(_ protowire.Number, value []byte) error {
		s, err := readSeries(value)
		if err != nil {
			return fmt.Errorf("series[%d]: %w", len(r.series), err)
		}
		r.series = append(r.series, s)
		return nil
	})
}

// readSeries reads a RawProfileSeries. Its annotations, field 3, are nothing
// that clients may set.
func readSeries(b []byte) (upload.Series, error) {
	s := upload.Series{
		Labels:   make([]profile.LabelPair, 0, count(b, 1)),
		Profiles: make([]upload.Profile, 0, count(b, 2)),
	}
	err := each(b, 3, func(number protowire.Number, value []byte) error {
		var first, second []byte
		err := each(value, 2, func(number protowire.Number, value []byte) error {
			if number == 1 {
				first = value
			} else {
				second = value
			}
			return nil
		})
		switch number {
		case 1:
			s.Labels = append(s.Labels, profile.LabelPair{Name: string(first), Value: string(second)})
		case 2:
			s.Profiles = append(s.Profiles, upload.Profile{Data: first, ID: string(second)})
		}
		return err
	})
	return s, err
}

var errWireType = errors.New("wire type does not fit the field")

// each calls f with the fields of the message b, all of which have a length up
// to the number known. Those above are of newer versions of the API and left
// out.
func each(b []byte, known protowire.Number, f func(number protowire.Number, value []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return fmt.Errorf("field %d: %w", number, protowire.ParseError(n))
		}
		if number <= known {
			if kind != protowire.BytesType {
				return fmt.Errorf("field %d, wire type %d: %w", number, kind, errWireType)
			}
			value, _ := protowire.ConsumeBytes(b)
			if err := f(number, value); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// count returns how often a field occurs in the message b, as far as b is one.
func count(b []byte, number protowire.Number) int {
	n := 0
	_ = each(b, number, func(got protowire.Number, _ []byte) error {
		if got == number {
			n++
		}
		return nil
	})
	return n
}
