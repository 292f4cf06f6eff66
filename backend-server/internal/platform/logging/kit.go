package logging

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Kit returns a go-kit logger that writes to l. The level of a line is taken
// from its "level" value, the text from "msg"; what else the line holds becomes
// attributes.
func Kit(l *slog.Logger) log.Logger { return kit{l.Handler()} }

type kit struct{ h slog.Handler }

// Log implements log.Logger.
func (k kit) Log(keyvals ...any) error {
	r := slog.Record{Time: time.Now(), Level: slog.LevelInfo}
	attrs := make([]slog.Attr, 0, len(keyvals)/2)
	for i := 0; i < len(keyvals); i += 2 {
		key := fmt.Sprint(keyvals[i])
		var value any
		if i+1 < len(keyvals) {
			value = keyvals[i+1]
		}
		switch key {
		case "level":
			r.Level = slogLevel(value)
		case "msg":
			r.Message = fmt.Sprint(value)
		case "ts", "caller":
		default:
			if err, ok := value.(error); ok {
				value = err.Error() // slog would add the stack traces of pkg/errors
			}
			attrs = append(attrs, slog.Any(key, value))
		}
	}
	ctx := context.Background()
	if !k.h.Enabled(ctx, r.Level) {
		return nil
	}
	r.AddAttrs(attrs...)
	return k.h.Handle(ctx, r)
}

func slogLevel(v any) slog.Level {
	switch fmt.Sprint(v) {
	case level.DebugValue().String():
		return slog.LevelDebug
	case level.WarnValue().String():
		return slog.LevelWarn
	case level.ErrorValue().String():
		return slog.LevelError
	}
	return slog.LevelInfo
}
