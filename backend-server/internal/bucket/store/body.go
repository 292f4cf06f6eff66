package store

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// errAnswered is what a transport reads that still sends when the answer is there.
var errAnswered = errors.New("the store has answered before all was sent")

// body is a request's body that a transport lets go of when its answer is
// there. Transports may read and close a body even later, at the same time as
// the client that made it, and bodies of minio's client do not stand that.
type body struct {
	mu     sync.Mutex
	of     io.ReadCloser
	closed bool
}

// guarded returns the request with a body of its own, nil if it has none.
func guarded(req *http.Request) (*http.Request, *body) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	b := &body{of: req.Body}
	own := *req
	own.Body = b
	return &own, b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errAnswered
	}
	return b.of.Read(p)
}

// Close implements io.Closer; only the first call does anything.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.of.Close()
}
