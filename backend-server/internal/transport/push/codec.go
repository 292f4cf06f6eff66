package push

import (
	"fmt"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"google.golang.org/protobuf/proto"
)

// requestCodec decodes push requests with the generated method. Unlike the
// reflecting decoder that leaves strings unchecked: a label that is not UTF-8
// must cost its own series only, not the whole request.
type requestCodec struct{}

var _ connect.Codec = requestCodec{}

// Name is the codec's part of the content type.
func (requestCodec) Name() string { return "proto" }

// IsBinary says that messages are not text.
func (requestCodec) IsBinary() bool { return true }

// Marshal encodes a response.
func (requestCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.Marshal(m)
}

// Unmarshal decodes a request.
func (requestCodec) Unmarshal(b []byte, message any) error {
	req, ok := message.(*pushv1.PushRequest)
	if !ok {
		return fmt.Errorf("%T is no push request", message)
	}
	if err := req.UnmarshalVT(b); err != nil {
		return fmt.Errorf("message of %d bytes is no push.v1.PushRequest: %w", len(b), err)
	}
	return nil
}
