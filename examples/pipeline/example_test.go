package pipeline_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/examples/pipeline"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	for name, step := range map[string]pipeline.Step{
		"trim":  strings.TrimSpace,
		"upper": strings.ToUpper,
		"quote": func(text string) string { return "“" + text + "”" },
	} {
		stage := daffi.New(daffi.Options{Name: name, Controller: ctl})
		defer stage.Close()
		if _, err := pipeline.RegisterStage(stage, step); err != nil {
			log.Fatal(err)
		}
		if err := stage.Join(ctx); err != nil {
			log.Fatal(err)
		}
	}
	client, err := daffi.Connect(ctx, daffi.Options{Controller: ctl})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	text, err := pipeline.NewStage(client, daffi.To("trim")).Process(ctx, "  tea and cake ", []string{"upper", "quote"})
	fmt.Println(text, err)
	// Output: “TEA AND CAKE” <nil>
}

// An error, or a missing node, at the end of the pipeline is the error of the first call.
func TestD38D76PipelineBreaks(t *testing.T) {
	net := daffitest.New(t)
	if _, err := pipeline.RegisterStage(net.Node("first"), pipeline.Step(strings.ToUpper)); err != nil {
		t.Fatal(err)
	}
	client := net.Node("client")
	if err := client.WaitMethod(t.Context(), pipeline.StageName); err != nil {
		t.Fatal(err)
	}
	_, err := pipeline.NewStage(client, daffi.To("first")).Process(t.Context(), "x", []string{"nobody"})
	if daffi.CodeOf(err) != daffi.Unavailable || !strings.Contains(err.Error(), "nobody") {
		t.Error(err)
	}
}
