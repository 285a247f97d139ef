package logs

import (
	"log/slog"
	"math"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

func TestLogs(t *testing.T) {
	both.Run(t, both.Subject[Logs, Logs]{
		Service:  LogsName,
		New:      func() Logs { return NewMemory(both.Clock()) },
		Register: RegisterLogs,
		Proxy:    func(c daffi.Caller) Logs { return NewLogs(c) },
		Direct:   func(l Logs) Logs { return l },
		Errors:   both.Is(ErrRange),
		Values: []func(*both.Values){
			both.Of(rapid.OneOf(rapid.SampledFrom([]string{"a", "b"}), rapid.String())),
			both.Of(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(-1), math.Copysign(0, -1)}))),
			both.Of(rapid.OneOf(rapid.SampledFrom([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}), rapid.Map(rapid.IntRange(-50, 50), func(n int) slog.Level { return slog.Level(n) }))),
			both.Of(rapid.Map(rapid.SampledFrom([]string{"", "a|b", "^x"}), func(s string) regexp.Regexp { return *regexp.MustCompile(s) })),
		},
		Settle: map[string]func(Logs, Logs){
			"Emit": func(direct, remote Logs) { remote.(*Memory).AwaitEmits(direct.(*Memory).Emits()) },
		},
	})
}
