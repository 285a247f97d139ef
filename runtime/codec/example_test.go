package codec_test

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// The type of the package comment, and the functions that are generated for it.

type Kind uint8

type Item struct {
	ID   string
	Kind Kind
	Sum  [4]float64
	Hash [32]byte
	Tags []string
	Cost map[string]int
	Next *Item
}

var itemFields = []string{"ID", "Kind", "Sum", "Hash", "Tags", "Cost", "Next"}

func writeItem(e *codec.Encoder, v Item) {
	e.Struct(7)
	e.Key("ID").String(v.ID)
	e.Key("Kind").Uint8(uint8(v.Kind))
	codec.WriteArray(e.Key("Sum"), v.Sum[:], codec.WriteFloat64)
	e.Key("Hash").Blob(v.Hash[:])
	codec.WriteStrings(e.Key("Tags"), v.Tags)
	codec.WriteMap(e.Key("Cost"), v.Cost, codec.WriteString, codec.WriteInt)
	codec.WritePtr(e.Key("Next"), v.Next, writeItem)
	e.Leave()
}

func readItem(d *codec.Decoder) (v Item) {
	for i := range d.Fields(itemFields) {
		switch i {
		case 0:
			v.ID = d.String()
		case 1:
			v.Kind = Kind(d.Uint8())
		case 2:
			codec.ReadArrayInto(d, v.Sum[:], codec.ReadFloat64)
		case 3:
			d.BlobInto(v.Hash[:])
		case 4:
			v.Tags = codec.ReadStrings(d)
		case 5:
			v.Cost = codec.ReadMap(d, 2, codec.ReadString, codec.ReadInt)
		case 6:
			v.Next = codec.ReadPtr(d, readItem)
		}
	}
	return v
}

func Example() {
	var e codec.Encoder
	writeItem(&e, Item{ID: "bread", Kind: 3, Tags: []string{"fresh"}, Cost: map[string]int{"EUR": 4}, Next: &Item{ID: "milk"}})
	if err := e.Err(); err != nil {
		fmt.Println(err)
	}

	var d codec.Decoder
	d.Reset(e.Bytes())
	v := readItem(&d)
	fmt.Println(v.ID, v.Kind, v.Tags, v.Cost, v.Next.ID, v.Next.Tags == nil, d.Close())

	d.Reset(e.Bytes()[:20])
	readItem(&d)
	fmt.Println(d.Err())
	// Output:
	// bread 3 [fresh] map[EUR:4] milk true <nil>
	// decode: array expected, end of message found at byte 20
}
