package push

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// requestCodec decodes push requests without the generated types, which would
// copy every profile into memory of its own.
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
	req, ok := message.(*request)
	if !ok {
		return fmt.Errorf("%T is no push request", message)
	}
	if err := req.read(b); err != nil {
		req.release()
		return fmt.Errorf("message of %d bytes is no push.v1.PushRequest: %w", len(b), err)
	}
	return nil
}
