package wire

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// protoCodec encodes binary messages with the generated methods where the type
// has them, which takes a fraction of the time of reflection for the large
// answers of this API. It decodes with reflection, for that checks UTF-8.
type protoCodec struct{}

var _ connect.Codec = protoCodec{}

// Name is the codec's part of the content type.
func (protoCodec) Name() string { return "proto" }

// IsBinary says that messages are not text.
func (protoCodec) IsBinary() bool { return true }

// marshaler is what the generated code offers.
type marshaler interface{ MarshalVT() ([]byte, error) }

// appender is marshaler that writes into a buffer of the right size.
type appender interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

// Marshal encodes a message.
func (protoCodec) Marshal(message any) ([]byte, error) {
	if m, ok := message.(marshaler); ok {
		return m.MarshalVT()
	}
	m, err := asProto(message)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(m)
}

// MarshalAppend appends an encoded message to dst.
func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	if m, ok := message.(appender); ok {
		size := m.SizeVT()
		end := len(dst) + size
		if cap(dst) < end {
			dst = append(make([]byte, 0, end), dst...)
		}
		_, err := m.MarshalToSizedBufferVT(dst[len(dst):end])
		return dst[:end], err
	}
	m, err := asProto(message)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// Unmarshal decodes a message.
func (protoCodec) Unmarshal(b []byte, message any) error {
	m, err := asProto(message)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("message of %d bytes is no %s: %w", len(b), m.ProtoReflect().Descriptor().FullName(), err)
	}
	return nil
}

func asProto(message any) (proto.Message, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return m, nil
}
