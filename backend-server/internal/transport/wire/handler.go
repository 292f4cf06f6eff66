package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
)

// compressFrom is the size from which answers are compressed, in bytes; below,
// gzip costs more than it saves.
const compressFrom = 1 << 10

// HandlerOptions returns the options that every service of the edge is served
// with: errors are translated, panics recovered, small answers not compressed,
// others quickly, and messages encoded by generated code instead of reflection.
// JSON is connect's own codec, which takes both spellings of field names and
// ignores unknown fields.
func HandlerOptions(logger *slog.Logger) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, value any) error {
			logger.Error("panic in a request", "procedure", spec.Procedure, "panic", value, "stack", string(debug.Stack()))
			return connect.NewError(connect.CodeInternal, fmt.Errorf("internal error: %v", value))
		}),
		connect.WithInterceptors(translateErrors(logger)),
		withGzip(),
		connect.WithCompressMinBytes(compressFrom),
		connect.WithCodec(protoCodec{}),
	}
}

func translateErrors(logger *slog.Logger) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			res, err := next(ctx, req)
			if err == nil {
				return res, nil
			}
			err = Error(err)
			if code := connect.CodeOf(err); code == connect.CodeInternal || code == connect.CodeDataLoss {
				logger.Error("request failed", "procedure", req.Spec().Procedure, "error", err)
			}
			return nil, err
		}
	}
}
