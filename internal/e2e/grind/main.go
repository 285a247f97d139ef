// Command grind serves a slow service at some nodes, or calls it far more often than it can take, for the end-to-end test of a controller under overload. A server prints a line when it
// is ready; a caller then prints what its calls came to, every half second as JSON. Both end with their standard input.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

//go:generate go tool daffigen

// Grinder takes its time.
//
//daffi:callback
//daffi:fetcher
type Grinder interface {
	// Grind returns a blob of that size.
	Grind(ctx context.Context, in []byte, size int) ([]byte, error)
}

// Conveyor streams blobs.
//
//daffi:callback
//daffi:fetcher
type Conveyor interface {
	// Sink counts the bytes that are sent.
	Sink(ctx context.Context, in iter.Seq2[[]byte, error]) (int, error)
	// Spring yields n blobs of that size.
	Spring(ctx context.Context, n, size int) iter.Seq2[[]byte, error]
}

// What a server can do: how long each call takes, and how many wait.
const (
	takes   = 40 * time.Millisecond
	waiting = 8
)

type flags struct {
	addr, name string
	nodes      int
	workers    int
	to         string // the nodes to call, by commas; none: it serves
	callers    int    // for each node
	streams    int
}

func main() {
	var f flags
	flag.StringVar(&f.addr, "addr", "", "of the controller")
	flag.StringVar(&f.name, "name", "", "of the nodes, before their numbers")
	flag.IntVar(&f.nodes, "nodes", 1, "how many")
	flag.IntVar(&f.workers, "workers", 4, "calls that a server takes at a time")
	flag.StringVar(&f.to, "to", "", "nodes to call, with commas in between; none: serve")
	flag.IntVar(&f.callers, "callers", 1, "calls at a time, for each node")
	flag.IntVar(&f.streams, "streams", 0, "streams at a time, for each node")
	flag.Parse()
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "grind:", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	ctx, cancel := context.WithCancel(context.Background())
	var t tally
	var wg sync.WaitGroup
	var nodes []*daffi.Node
	defer func() {
		cancel()
		wg.Wait()
		for _, n := range nodes {
			n.Close()
		}
	}()
	for i := range f.nodes {
		node, err := join(ctx, f, i)
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
		for _, to := range strings.FieldsFunc(f.to, func(r rune) bool { return r == ',' }) {
			c := caller{node: node, opts: []daffi.CallOption{daffi.To(to), daffi.Retry(0)}, tally: &t}
			for range f.callers {
				wg.Go(func() { c.repeat(ctx, func(t *Tally) *int { return &t.Good }, c.grind) })
			}
			for i := range f.streams {
				way := [...]func(context.Context, int) error{c.sink, c.spring}[i%2]
				wg.Go(func() { c.repeat(ctx, func(t *Tally) *int { return &t.Streamed }, way) })
			}
		}
	}
	fmt.Println("ready")
	if f.to != "" {
		wg.Go(func() { t.print(ctx) })
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func join(ctx context.Context, f flags, i int) (*daffi.Node, error) {
	node := daffi.New(daffi.Options{Addr: f.addr, Name: fmt.Sprintf("%s-%d", f.name, i)})
	if f.to == "" {
		if _, err := RegisterGrinder(node, mill{}, daffi.Workers(f.workers), daffi.Queue(waiting)); err != nil {
			return nil, err
		}
		if _, err := RegisterConveyor(node, mill{}); err != nil {
			return nil, err
		}
	}
	return node, node.Join(ctx)
}

type mill struct{}

func (mill) Grind(ctx context.Context, _ []byte, size int) ([]byte, error) {
	select {
	case <-time.After(takes):
		return make([]byte, size), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (mill) Sink(_ context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		n += len(b)
	}
	return n, nil
}

func (mill) Spring(_ context.Context, n, size int) iter.Seq2[[]byte, error] {
	b := make([]byte, size)
	return func(yield func([]byte, error) bool) {
		for range n {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// caller calls one node from another.
type caller struct {
	node  *daffi.Node
	opts  []daffi.CallOption
	tally *tally
}

// Calls have one of these sizes, both ways, and streams have items of them.
var sizes = [...]int{64 << 10, 256 << 10, 1 << 20}

const (
	patience = time.Second           // of a call
	pause    = 20 * time.Millisecond // of one that failed
	items    = 8
)

// repeat calls until ctx ends.
func (c *caller) repeat(ctx context.Context, good func(*Tally) *int, call func(context.Context, int) error) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, patience)
		begin := time.Now()
		err := call(one, sizes[rand.IntN(len(sizes))])
		took := time.Since(begin)
		cancel()
		if ctx.Err() != nil {
			return
		}
		c.tally.add(good, err, took)
		if err != nil {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

var blob = make([]byte, sizes[len(sizes)-1])

func init() { // so that it cannot be compressed
	r := rand.NewChaCha8([32]byte{})
	r.Read(blob)
}

func (c *caller) grind(ctx context.Context, size int) error {
	got, err := NewGrinder(c.node, c.opts...).Grind(ctx, blob[:size], size)
	if err == nil && len(got) != size {
		err = fmt.Errorf("%d bytes instead of %d", len(got), size)
	}
	return err
}

func (c *caller) sink(ctx context.Context, size int) error {
	n, err := NewConveyor(c.node, c.opts...).Sink(ctx, func(yield func([]byte, error) bool) {
		for range items {
			if !yield(blob[:size], nil) {
				return
			}
		}
	})
	if err == nil && n != items*size {
		err = fmt.Errorf("%d bytes instead of %d", n, items*size)
	}
	return err
}

func (c *caller) spring(ctx context.Context, size int) error {
	n := 0
	for b, err := range NewConveyor(c.node, c.opts...).Spring(ctx, items, size) {
		if err != nil {
			return err
		}
		n += len(b)
	}
	if n != items*size {
		return fmt.Errorf("%d bytes instead of %d", n, items*size)
	}
	return nil
}

// Tally is what calls came to.
type Tally struct {
	Good     int // calls with a result
	Streamed int // streams that came whole
	Busy     int // refused by the callee, NotRun
	Shed     int // refused by the controller, NotRun
	Late     int // not ended in time
	Failed   int // otherwise
	Failure  string
	Refused  [2][]float64 // how long each refusal took, of the callee and of the controller, in milliseconds
}

type tally struct {
	mu  sync.Mutex
	now Tally // since it was printed
}

func (t *tally) add(good func(*Tally) *int, err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := &t.now
	if err == nil {
		*good(now)++
		return
	}
	e, _ := errors.AsType[*daffi.Error](err)
	ms := float64(took) / float64(time.Millisecond)
	switch {
	case daffi.CodeOf(err) == daffi.DeadlineExceeded:
		now.Late++
	case e != nil && e.Outcome == daffi.NotRun && e.Reason == daffi.ReasonOverloaded:
		now.Shed++
		now.Refused[1] = append(now.Refused[1], ms)
	case e != nil && e.Outcome == daffi.NotRun && e.Reason == daffi.ReasonBusy:
		now.Busy++
		now.Refused[0] = append(now.Refused[0], ms)
	default:
		now.Failed++
		now.Failure = fmt.Sprintf("%v (%v)", err, daffi.OutcomeOf(err))
	}
}

// print prints what has come together, until ctx ends.
func (t *tally) print(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		now := t.now
		t.now = Tally{}
		t.mu.Unlock()
		if err := json.NewEncoder(os.Stdout).Encode(now); err != nil {
			return
		}
	}
}
