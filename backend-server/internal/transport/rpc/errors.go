package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// form is what a kind of error is on the wire.
type form struct {
	kind fault.Kind
	wire hearthv1.FailureKind
	code codes.Code
}

// forms is the one table between kinds and what travels. The code is for those
// who do not know the kind.
var forms = []form{
	{fault.Unknown, hearthv1.FailureKind_FAILURE_KIND_UNKNOWN, codes.Unknown},
	{fault.Invalid, hearthv1.FailureKind_FAILURE_KIND_INVALID, codes.InvalidArgument},
	{fault.TooLarge, hearthv1.FailureKind_FAILURE_KIND_TOO_LARGE, codes.OutOfRange},
	{fault.NotFound, hearthv1.FailureKind_FAILURE_KIND_NOT_FOUND, codes.NotFound},
	{fault.Unauthenticated, hearthv1.FailureKind_FAILURE_KIND_UNAUTHENTICATED, codes.Unauthenticated},
	{fault.Exhausted, hearthv1.FailureKind_FAILURE_KIND_EXHAUSTED, codes.ResourceExhausted},
	{fault.Unavailable, hearthv1.FailureKind_FAILURE_KIND_UNAVAILABLE, codes.Unavailable},
	{fault.Unimplemented, hearthv1.FailureKind_FAILURE_KIND_UNIMPLEMENTED, codes.Unimplemented},
	{fault.Corrupt, hearthv1.FailureKind_FAILURE_KIND_CORRUPT, codes.DataLoss},
}

// maxText bounds the text of an error, in bytes: it travels in a header, twice.
const maxText = 8 << 10

// ToStatus returns err as a gRPC status that ToFault turns back into an error
// of the same kind (P2). The server does it with all that handlers return, so
// that they need not; twice does no harm.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	kind := fault.KindOf(err)
	if kind == fault.Unknown {
		switch {
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, clip(err.Error()))
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, clip(err.Error()))
		}
		if _, ok := status.FromError(err); ok { // also of a call to somebody else
			return err
		}
	}
	f := forms[0]
	for _, known := range forms {
		if known.kind == kind {
			f = known
		}
	}
	detail := &hearthv1.Failure{Kind: f.wire}
	if reason := fault.ReasonOf(err); reason != kind.String() {
		detail.Reason = clip(reason)
	}
	var hint *upload.RetryError
	if errors.As(err, &hint) {
		detail.RetryAfterNs = int64(hint.After)
	}
	s := status.New(f.code, clip(err.Error()))
	if with, err := s.WithDetails(protoadapt.MessageV1Of(detail)); err == nil {
		s = with
	}
	return s.Err()
}

// clip makes text fit for a header and for protobuf.
func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// ToFault returns an error of a call as one with a kind. That a process cannot
// be reached is Unavailable. What is no error of a call, as io.EOF at the end
// of a stream, stays what it is.
func ToFault(err error) error {
	if err == nil || fault.KindOf(err) != fault.Unknown {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch s.Code() {
	case codes.Canceled:
		return because(s.Message(), context.Canceled)
	case codes.DeadlineExceeded:
		return because(s.Message(), context.DeadlineExceeded)
	}
	kind, detail := kindOf(s)
	fresh := fault.Reason(kind, detail.GetReason(), "%s", s.Message())
	if after := time.Duration(detail.GetRetryAfterNs()); after > 0 {
		return &upload.RetryError{Err: fresh, After: after}
	}
	return fresh
}

// because returns an error of a context with the text that came with it.
func because(text string, err error) error {
	if text == "" || text == err.Error() {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}

// failureOf returns what a handler has said about a status, or nil if it comes
// from gRPC itself.
func failureOf(s *status.Status) *hearthv1.Failure {
	for _, d := range s.Details() {
		if f, ok := d.(*hearthv1.Failure); ok {
			return f
		}
	}
	return nil
}

func kindOf(s *status.Status) (fault.Kind, *hearthv1.Failure) {
	detail := failureOf(s)
	if detail != nil {
		for _, f := range forms {
			if f.wire == detail.GetKind() {
				return f.kind, detail
			}
		}
	} else if s.Code() == codes.ResourceExhausted { // of gRPC: a message over the limit
		return fault.TooLarge, nil
	}
	for _, f := range forms {
		if f.code == s.Code() {
			return f.kind, detail
		}
	}
	return fault.Unknown, detail
}
