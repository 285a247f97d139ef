package codec_test

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// letters is a codec that writes the strings of a table as one letter each.
type letters map[string]string

func (letters) ID() byte     { return 42 }
func (letters) Name() string { return "letters" }

func (t letters) Marshal(dst []byte, v any) ([]byte, error) {
	letter, ok := t[v.(string)]
	if !ok {
		return nil, fmt.Errorf("%q is not in the table", v)
	}
	return append(dst, letter...), nil
}

func (t letters) Unmarshal(data []byte, v any) error {
	for text, letter := range t {
		if letter == string(data) {
			*v.(*string) = text
			return nil
		}
	}
	return fmt.Errorf("the letter %q is not in the table", data)
}

// A codec of one's own (I-10): it has an id and a name that no other has, and what it does not take is the end of that value alone.
func ExampleRegistry() {
	var codecs codec.Registry
	fmt.Println(codecs.Register(letters{"Hello World": "h"}))
	fmt.Println(codecs.Register(letters{"Good bye": "b"}))

	scope := codec.Scope{Codecs: &codecs}
	var e codec.Encoder
	e.SetScope(&scope)
	codec.WriteWith(&e, "letters", "Hello World")
	fmt.Printf("% x\n", e.Bytes())
	var d codec.Decoder
	d.SetScope(&scope)
	d.Reset(e.Bytes())
	fmt.Println(codec.ReadWith[string](&d, "letters"), d.Err())
	codec.WriteWith(&e, "letters", "Good night")
	fmt.Println(e.Err())
	// Output:
	// <nil>
	// codec 42 (letters) cannot be registered: it is there already; register it once
	// c4 02 2a 68
	// Hello World <nil>
	// encode: codec 42 (letters): "Good night" is not in the table
}
