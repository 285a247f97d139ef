package main

import (
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/daffi-rpc/daffi/bench/echo"
)

const (
	itemName = "item-0001"
	itemTags = "red,new" // joined
)

// newItem returns an item with size bytes of content: id, name, tags and data.
func newItem(size int) echo.Item {
	tags := strings.Split(itemTags, ",")
	have := 8 + len(itemName)
	for _, t := range tags {
		have += len(t)
	}
	return echo.Item{ID: 1, Name: itemName, Tags: tags, Data: text(size - have)}
}

// text returns n bytes of words, always the same, that compress about as well as log lines do.
func text(n int) []byte {
	words := strings.Fields("GET POST /v1/items /v1/users?id= status=200 status=404 user= trace= duration= ms region=eu-1 region=us-2 error=none cache=hit cache=miss")
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+32)
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		if r.IntN(3) == 0 {
			for range 8 {
				b = append(b, "0123456789abcdef"[r.IntN(16)])
			}
		}
		b = append(b, ' ')
	}
	return b[:n]
}

// sameItem compares the answer to a caller's first call as a whole, later ones by what cannot be right by chance, at no cost that would show.
func sameItem(in, out *echo.Item) error {
	if in.ID != out.ID || len(in.Data) != len(out.Data) || in.ID == firstID && !reflect.DeepEqual(in, out) {
		return errWrong
	}
	return nil
}

// firstID is that of a caller's first call: callers count before they call.
const firstID = 2
