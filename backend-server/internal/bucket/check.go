package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// probes is the folder of what Check writes. It cannot be a tenant's: no tenant
// has a ~ in its name.
const probes = "~check"

var errDiffers = errors.New("what is read is not what was written")

// probeSize is small, and more than the part that Check reads.
const probeSize = 64

// checkPatience is how long Check takes at most, but for what a client that
// knows no contexts (Swift's) waits beyond that.
const checkPatience = 20 * time.Second

// Check tries all that will be asked of the store: it writes an object, reads
// it, lists it, and deletes it. An error is of kind Invalid if settings are
// wrong, here or at the store; it is one sentence that names the flag to look
// at. An error of kind Unavailable may go away by itself: the store is not
// there, or has too much to do.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	name := probes + objstore.DirDelim + ulid.Make().String()
	content := bytes.Repeat([]byte(name[len(name)-8:]), probeSize/8)
	for _, step := range []struct {
		op string
		do func() error
	}{
		{"put", func() error { return s.Upload(ctx, name, bytes.NewReader(content)) }},
		{"get", func() error { return s.probeRead(ctx, name, content) }},
		{"list", func() error { return s.probeListed(ctx, name) }},
		{"delete", func() error { return s.Delete(ctx, name) }},
	} {
		if err := step.do(); err != nil {
			s.sweep(ctx, step.op, name)
			return s.explain(step.op, err)
		}
	}
	return nil
}

// sweep removes the probe after a failure that came later than its upload.
// Where that fails, too, nothing is said: the first failure tells more.
func (s *Store) sweep(ctx context.Context, op, name string) {
	if op == "get" || op == "list" {
		_ = s.Delete(ctx, name)
	}
}

func (s *Store) probeRead(ctx context.Context, name string, want []byte) error {
	got, err := Read(ctx, s, name)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errDiffers
	}
	attrs, err := s.Attributes(ctx, name)
	if err != nil {
		return err
	}
	if attrs.Size != int64(len(want)) {
		return fmt.Errorf("%w: it has %d bytes, not %d", errDiffers, attrs.Size, len(want))
	}
	part := make([]byte, probeSize/4)
	if err := readRange(ctx, s, name, part, probeSize/2); err != nil {
		return err
	}
	if !bytes.Equal(part, want[probeSize/2:][:len(part)]) {
		return fmt.Errorf("%w: a part is another one", errDiffers)
	}
	return nil
}

func (s *Store) probeListed(ctx context.Context, name string) error {
	found := false
	err := s.Iter(ctx, probes, func(listed string) error {
		found = found || listed == name
		return nil
	})
	if err == nil && !found {
		err = fault.New(fault.Unavailable, "an object that was written is not listed")
	}
	return err
}
