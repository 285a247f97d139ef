package codec_test

import (
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// order and line are a user's types, with the functions that are generated for them.
type order struct {
	ID       string
	Customer string
	Placed   time.Time
	Paid     bool
	Lines    []line
	Notes    []string
	Labels   map[string]string
	Parent   *order
}

type line struct {
	SKU      string
	Quantity int
	Price    float64
	Comment  string
}

var (
	orderFields = []string{"ID", "Customer", "Placed", "Paid", "Lines", "Notes", "Labels", "Parent"}
	lineFields  = []string{"SKU", "Quantity", "Price", "Comment"}
)

func writeOrder(e *codec.Encoder, v order) {
	e.Struct(8)
	e.Key("ID").String(v.ID)
	e.Key("Customer").String(v.Customer)
	e.Key("Placed").Time(v.Placed)
	e.Key("Paid").Bool(v.Paid)
	codec.WriteSlice(e.Key("Lines"), v.Lines, writeLine)
	codec.WriteStrings(e.Key("Notes"), v.Notes)
	codec.WriteMap(e.Key("Labels"), v.Labels, codec.WriteString, codec.WriteString)
	codec.WritePtr(e.Key("Parent"), v.Parent, writeOrder)
	e.Leave()
}

func readOrder(d *codec.Decoder) (v order) {
	for i := range d.Fields(orderFields) {
		switch i {
		case 0:
			v.ID = d.String()
		case 1:
			v.Customer = d.String()
		case 2:
			v.Placed = d.Time()
		case 3:
			v.Paid = d.Bool()
		case 4:
			v.Lines = codec.ReadSlice(d, 1, readLine)
		case 5:
			v.Notes = codec.ReadStrings(d)
		case 6:
			v.Labels = codec.ReadMap(d, 2, codec.ReadString, codec.ReadString)
		case 7:
			v.Parent = codec.ReadPtr(d, readOrder)
		}
	}
	return v
}

func writeLine(e *codec.Encoder, v line) {
	e.Struct(4)
	e.Key("SKU").String(v.SKU)
	e.Key("Quantity").Int(v.Quantity)
	e.Key("Price").Float64(v.Price)
	e.Key("Comment").String(v.Comment)
	e.Leave()
}

func readLine(d *codec.Decoder) (v line) {
	for i := range d.Fields(lineFields) {
		switch i {
		case 0:
			v.SKU = d.String()
		case 1:
			v.Quantity = d.Int()
		case 2:
			v.Price = d.Float64()
		case 3:
			v.Comment = d.String()
		}
	}
	return v
}

// sampleOrder takes about 1.1 KB.
func sampleOrder() order {
	o := order{
		ID:       "7f1f3b1c-19ae-4f0c-8a55-0c7d8e1f2a3b",
		Customer: "Ada Lovelace",
		Placed:   time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC),
		Paid:     true,
		Notes:    []string{"leave at the door", "ring twice", ""},
		Labels:   map[string]string{"region": "eu-west", "priority": "high"},
		Parent:   &order{ID: "first", Lines: []line{}},
	}
	for i := range 14 {
		o.Lines = append(o.Lines, line{"SKU-0000", 100 * i, 19.99 * float64(i), "gift wrapped"})
	}
	return o
}
