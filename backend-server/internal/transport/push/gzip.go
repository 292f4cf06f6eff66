package push

import (
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/gzip"
)

// defaultMaxMessage is the largest request after decompression. What comes
// uncompressed is limited before it gets here.
const defaultMaxMessage = 256 << 20

// withGzip makes connect decompress with a faster inflater that has an end.
func withGzip(limit int64) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &inflater{limit: limit} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) },
	)
}

// inflater is a gzip reader that fails after limit bytes. connect would say
// resource_exhausted, which clients take for "try again".
type inflater struct {
	gz    *gzip.Reader
	limit int64
	left  int64
}

// Reset begins a new stream.
func (f *inflater) Reset(r io.Reader) error {
	f.left = f.limit
	if f.gz == nil {
		f.gz = new(gzip.Reader)
	}
	return f.gz.Reset(r)
}

// Read decompresses.
func (f *inflater) Read(p []byte) (int, error) {
	if f.gz == nil {
		return 0, errors.New("gzip reader has no stream")
	}
	n, err := f.gz.Read(p)
	if f.left -= int64(n); f.left < 0 {
		return n, fmt.Errorf("the decompressed request is over the limit of %d bytes", f.limit)
	}
	return n, err
}

// Close does nothing: the reader holds no resources.
func (f *inflater) Close() error { return nil }
