package safetext

import (
	"context"
	"fmt"
	"log/slog"
)

// A Block is text of several lines that this process has written, a stack, and that a [Logger] leaves as it is.
type Block string

// Logger gives to l what it is given, with the message and every text, error and value in it as [Line] has it. Nothing else reaches l.
func Logger(l *slog.Logger) *slog.Logger {
	if _, ok := l.Handler().(handler); ok {
		return l
	}
	return slog.New(handler{l.Handler()})
}

type handler struct{ to slog.Handler }

func (h handler) Enabled(ctx context.Context, level slog.Level) bool { return h.to.Enabled(ctx, level) }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, Line(r.Message, MaxLog), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(attr(a))
		return true
	})
	return h.to.Handle(ctx, out)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.to.WithAttrs(list(attrs))}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.to.WithGroup(Line(name, MaxLog))}
}

func list(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = attr(a)
	}
	return out
}

func attr(a slog.Attr) slog.Attr { return slog.Attr{Key: Line(a.Key, MaxLog), Value: value(a.Value)} }

// value keeps numbers, times and what is fit to be shown, so that a handler of the user's finds errors in it.
func value(v slog.Value) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(Line(v.String(), MaxLog))
	case slog.KindGroup:
		return slog.GroupValue(list(v.Group())...)
	case slog.KindAny:
		if b, ok := v.Any().(Block); ok {
			return slog.StringValue(string(b))
		}
		text := fmt.Sprintf("%+v", v.Any())
		if line := Line(text, MaxLog); line != text {
			return slog.StringValue(line)
		}
	}
	return v
}
