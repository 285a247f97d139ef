package phrasebook_test

import (
	"context"
	"fmt"

	"github.com/daffi-rpc/daffi/examples/phrasebook"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// greeter knows two phrases.
type greeter struct{}

func (greeter) Greet(_ context.Context, phrase string) (string, error) {
	if phrase == "Hello World" {
		return "Nice to meet you", nil
	}
	return "Same to you", nil // which is in no table
}

// A node that serves and one that calls, both with the codec. What is not in the table ends its own call and nothing else.
func Example() {
	table, err := phrasebook.NewTable(map[string]string{"Hello World": "h", "Nice to meet you": "n", "Good bye": "b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var codecs codec.Registry
	if err := codecs.Register(table); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	server, err := daffi.Connect(ctx, daffi.Options{Name: "server", Controller: ctl, Codecs: &codecs})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	if _, err := phrasebook.RegisterGreeter(server, greeter{}); err != nil {
		fmt.Println(err)
		return
	}
	client, err := daffi.Connect(ctx, daffi.Options{Name: "client", Controller: ctl, Codecs: &codecs})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	remote := phrasebook.NewGreeter(client)
	for _, phrase := range []string{"Hello World", "Good bye", "Good night"} {
		answer, err := remote.Greet(ctx, phrase)
		fmt.Printf("%q %v\n", answer, err)
	}
	// Output:
	// "Nice to meet you" <nil>
	// "" Greeter.Greet at server: internal/encode: encode: codec 40 (phrases) at node server: "Same to you" is not in the table; add it on both sides
	// "" Greeter.Greet: invalid_argument/encode: encode: codec 40 (phrases) at node client: "Good night" is not in the table; add it on both sides
}

// The table by itself.
func ExampleTable() {
	table, err := phrasebook.NewTable(map[string]string{"Hello World": "h", "Good bye": "b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	code, err := table.Marshal(nil, "Hello World")
	fmt.Printf("%q %v\n", code, err)
	var phrase string
	err = table.Unmarshal(code, &phrase)
	fmt.Printf("%q %v\n", phrase, err)

	_, err = table.Marshal(nil, "Good night")
	fmt.Println(err)
	fmt.Println(table.Unmarshal([]byte("x"), &phrase))
	_, err = phrasebook.NewTable(map[string]string{"Hello": "h", "Hi": "h"})
	fmt.Println(err)
	// Output:
	// "h" <nil>
	// "Hello World" <nil>
	// "Good night" is not in the table; add it on both sides
	// the code "x" is not in the table; add it on both sides
	// "Hello" and "Hi" have the same code "h"
}
