package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

//go:generate go tool daffigen

// Depot takes data and gives it.
//
//daffi:callback
//daffi:fetcher
type Depot interface {
	// Put says how much it was given.
	Put(ctx context.Context, data []byte) (int, error)
	// Get returns n bytes of records, or of noise.
	Get(ctx context.Context, n int, noise bool) ([]byte, error)
}

// depot keeps what it has made once.
type depot struct{ records, noise []byte }

const most = 4<<20 - 64 // a message has something around it

func newDepot() *depot { return &depot{records: records(most), noise: noise(most)} }

func (d *depot) Put(_ context.Context, data []byte) (int, error) { return len(data), nil }

func (d *depot) Get(_ context.Context, n int, noise bool) ([]byte, error) {
	if n < 0 || n > most {
		return nil, fmt.Errorf("%d bytes were asked for, there are %d", n, most)
	}
	if noise {
		return d.noise[:n], nil
	}
	return d.records[:n], nil
}

// records are n bytes of JSON, the same every time.
func records(n int) (b []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	items := []string{"apple", "pear", "plum", "bread", "butter", "cheese", "tea", "coffee"}
	for len(b) < n {
		record, _ := json.Marshal(map[string]any{
			"id": r.Uint64N(1 << 40), "customer": fmt.Sprint("customer-", r.IntN(1000)), "item": items[r.IntN(len(items))],
			"count": r.IntN(20), "price": float64(r.IntN(10_000)) / 100, "paid": r.IntN(3) > 0, "at": 1_700_000_000 + r.IntN(1<<25),
		})
		b = append(append(b, record...), '\n')
	}
	return b[:n]
}

// noise is n bytes that nothing makes smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
