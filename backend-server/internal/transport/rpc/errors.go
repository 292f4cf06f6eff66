package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// ToStatus returns err as a gRPC status that ToFault turns back into an error
// of the same kind.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	code := codes.Unknown
	switch fault.KindOf(err) {
	case fault.Unavailable:
		code = codes.Unavailable
	}
	return status.Error(code, err.Error())
}

// ToFault returns an error of a call as one with a kind. That a process cannot
// be reached is Unavailable.
func ToFault(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch status.Code(err) {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Unavailable:
		return fault.New(fault.Unavailable, "%s", status.Convert(err).Message())
	}
	return err
}
