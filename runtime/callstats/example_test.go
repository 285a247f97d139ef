package callstats_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/callstats"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// What a node serves is counted by method; WriteText has the same for Prometheus.
func Example() {
	stats := callstats.New()
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node, _ := daffi.Connect(ctx, daffi.Options{Name: "kitchen", Controller: ctl, ServeInterceptors: []daffi.Interceptor{stats.Interceptor()}})
	defer node.Close()
	daffi.Handle(node, "Tea.Brew", func(_ context.Context, kind string) (string, error) {
		if kind == "coffee" {
			return "", &daffi.Error{Code: daffi.NotFound, Message: "only tea"}
		}
		return kind + " tea", nil
	})
	for _, kind := range []string{"green", "coffee", "black"} {
		daffi.Invoke(ctx, node, "Tea.Brew", kind)
	}

	for _, m := range stats.Snapshot() {
		fmt.Println(m.Method, m.Side, m.OK, m.Errors, m.In.Messages, m.Latency.Count())
	}
	var text strings.Builder
	stats.WriteText(&text, node)
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "daffi_calls_total") {
			os.Stdout.WriteString(line)
		}
	}
	// Output:
	// Tea.Brew callee 2 map[not_found:1] 3 3
	// daffi_calls_total{method="Tea.Brew",side="callee",shape="unary",code="ok"} 2
	// daffi_calls_total{method="Tea.Brew",side="callee",shape="unary",code="not_found"} 1
}
