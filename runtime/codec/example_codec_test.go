package codec_test

import (
	"fmt"

	"github.com/daffi-rpc/daffi/examples/phrasebook"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// A codec of strings that are in a table, Hello World for h, is registered, and a value goes there and back by it. Nodes get their
// registry with Options.Codecs, and generated code calls WriteWith and ReadWith where the annotation says //daffi:codec phrases.
func ExampleRegistry_Register() {
	table, err := phrasebook.NewTable(map[string]string{"Hello World": "h", "Good bye": "b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var codecs codec.Registry
	if err := codecs.Register(table); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(codecs.Register(table))

	scope := &codec.Scope{Codecs: &codecs, Node: "eu-1"}
	var e codec.Encoder
	e.SetScope(scope)
	codec.WriteWith(&e, "phrases", "Hello World")
	fmt.Printf("% x %v\n", e.Bytes(), e.Err()) // a bin of two bytes: the codec's id, and h

	var d codec.Decoder
	d.SetScope(scope)
	d.Reset(e.Bytes())
	fmt.Println(codec.ReadWith[string](&d, "phrases"), d.Err())

	codec.WriteWith(&e, "phrases", "Good night")
	fmt.Println(e.Err())
	d.Reset([]byte{0xc4, 2, 40, 'x'})
	codec.ReadWith[string](&d, "phrases")
	fmt.Println(d.Err())
	// Output:
	// codec 40 (phrases) cannot be registered: it is there already; register it once
	// c4 02 28 68 <nil>
	// Hello World <nil>
	// encode: codec 40 (phrases) at node eu-1: "Good night" is not in the table; add it on both sides
	// decode: codec 40 (phrases) at node eu-1: the code "x" is not in the table; add it on both sides
}
