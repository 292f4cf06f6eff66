package app

import (
	"bytes"
	"context"
	"io"
	"maps"
	"sync"

	"github.com/thanos-io/objstore"
)

// halfway is a bucket whose content can be looked at while it is written.
type halfway struct {
	objstore.Bucket

	mu     sync.Mutex
	memory map[string][]byte
}

// Upload implements objstore.Bucket.
func (h *halfway) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := h.Bucket.Upload(ctx, name, reader(content), o...); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.memory[name] = content
	return nil
}

// objects returns what has arrived.
func (h *halfway) objects() map[string][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.memory)
}

func reader(b []byte) io.Reader { return bytes.NewReader(b) }
