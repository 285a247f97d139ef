package g2_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/generations/g2"
	"github.com/daffi-rpc/daffi/testdata/generations/shape"
	"github.com/daffi-rpc/daffi/testdata/golden/generation"
)

// service is what any generation serves, but for the method Below, whose type is each one's own.
type service struct {
	mu    sync.Mutex
	lines []string
}

func (s *service) Echo(_ context.Context, item shape.Item) (shape.Item, error) { return item, nil }

func (s *service) Several(_ context.Context, name string, numbers ...int) (sum int, text string, err error) {
	for _, n := range numbers {
		sum += n
	}
	return sum, strings.ToUpper(name), nil
}

func (s *service) Fail(_ context.Context, how string) error {
	switch how {
	case "gone":
		return fmt.Errorf("wrapped: %w", shape.ErrGone)
	case "lost":
		return &shape.Lost{Name: "it"}
	}
	return errors.New(how)
}

func (s *service) Range(_ context.Context, n int) iter.Seq2[shape.Point, error] {
	return func(yield func(shape.Point, error) bool) {
		for k := range int32(n) {
			if !yield(shape.Point{X: k, Y: -k}, nil) {
				return
			}
		}
	}
}

func (s *service) Sum(_ context.Context, start int64, points iter.Seq2[shape.Point, error]) (int64, error) {
	for p, err := range points {
		if err != nil {
			return 0, err
		}
		start += int64(p.X)
	}
	return start, nil
}

func (s *service) Chat(_ context.Context, said iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for text, err := range said {
			if !yield("re: "+text, err) {
				return
			}
		}
	}
}

func (s *service) Add(_ context.Context, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	return nil
}

func (s *service) Lines(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines), nil
}

func (s *service) Ring(ctx context.Context, bell string) error { return s.Add(ctx, "ring "+bell) }

func (s *service) Document(_ context.Context, doc map[string]any) (map[string]any, error) {
	return doc, nil
}
func (s *service) Bytes(_ context.Context, data []byte) ([]byte, error) { return data, nil }
func (s *service) Text(_ context.Context, text string) (string, error)  { return text, nil }
func (s *service) Where(ctx context.Context) (string, error) {
	info, _ := daffi.CallFrom(ctx)
	return info.Method, nil
}
func (s *service) Close() error { return nil }

func (s *service) Place(ctx context.Context, order shape.Order, _ *shape.Order) error {
	return s.Add(ctx, "order "+order.Name)
}

func (s *service) PlaceAll(ctx context.Context, orders iter.Seq2[shape.Order, error]) (n int, err error) {
	for _, err := range orders {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

type then struct{ *service }

func (t then) Below() g2.Below { return t.service }

type now struct{ *service }

func (n now) Below() generation.Below { return n.service }

// client is what the proxies of all generations have, but for Below.
type client interface {
	Echo(ctx context.Context, item shape.Item) (shape.Item, error)
	Several(ctx context.Context, name string, numbers ...int) (sum int, text string, err error)
	Fail(ctx context.Context, how string) error
	Range(ctx context.Context, n int) iter.Seq2[shape.Point, error]
	Sum(ctx context.Context, start int64, points iter.Seq[shape.Point]) (int64, error)
	Chat(ctx context.Context, said iter.Seq2[string, error]) iter.Seq2[string, error]
	AddAll(ctx context.Context, lines iter.Seq[string]) error
	Note(ctx context.Context, line string) error
	Scribble(ctx context.Context, line string) error
	Record(ctx context.Context, line string) error
	AddNumber(ctx context.Context, n int, unit time.Duration) error
	Lines(ctx context.Context) ([]string, error)
	Ring(ctx context.Context, bell string) error
	Document(ctx context.Context, doc map[string]any) (map[string]any, error)
	Bytes(ctx context.Context, data []byte) ([]byte, error)
	Text(ctx context.Context, text string) (string, error)
	Place(ctx context.Context, order shape.Order, again *shape.Order) error
	PlaceAll(ctx context.Context, orders iter.Seq[shape.Order]) (int, error)
	WaitReady(ctx context.Context) error
}

// TestThenAndNow has code of this generation call code of today, and the reverse.
func TestThenAndNow(t *testing.T) {
	serveThen := func(n *daffi.Node) (*daffi.Registration, error) { return g2.RegisterService(n, then{new(service)}) }
	serveNow := func(n *daffi.Node) (*daffi.Registration, error) {
		return generation.RegisterService(n, now{new(service)})
	}
	callThen := func(n *daffi.Node) (client, func(context.Context) (string, error)) {
		p := g2.NewClient(n)
		return p, p.Below().Where
	}
	callNow := func(n *daffi.Node) (client, func(context.Context) (string, error)) {
		p := generation.NewClient(n)
		return p, p.Below().Where
	}
	for _, test := range []struct {
		name  string
		serve func(*daffi.Node) (*daffi.Registration, error)
		call  func(*daffi.Node) (client, func(context.Context) (string, error))
	}{
		{"then calls now", serveNow, callThen},
		{"now calls then", serveThen, callNow},
		{"then calls then", serveThen, callThen},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := daffitest.New(t)
				_, err := test.serve(net.Node("server"))
				require.NoError(t, err)
				p, where := test.call(net.Node("client"))
				callAll(t, p, where)
			})
		})
	}
}

func callAll(t *testing.T, p client, where func(context.Context) (string, error)) {
	ctx := t.Context()
	require.NoError(t, p.WaitReady(ctx))
	price := 1.5
	item := shape.Item{
		ID: [4]byte{1, 2, 3, 4}, Name: "a", Count: 2, Price: &price, Tags: []string{"x"}, Parts: map[string]shape.Item{"p": {Name: "b"}},
		At: time.Unix(1, 2).UTC(), For: time.Hour, Host: netip.MustParseAddr("::1"), Extra: []any{1, "2"}, Reason: errors.New("why"),
		Data: []byte{5}, Ok: true, Pair: [2]shape.Point{{X: 1}, {Y: 2}},
	}
	got, err := p.Echo(ctx, item)
	require.NoError(t, err)
	require.Equal(t, item, got)

	sum, text, err := p.Several(ctx, "abc", 1, 2, 3)
	require.NoError(t, err)
	require.Equal(t, 6, sum)
	require.Equal(t, "ABC", text)

	require.ErrorIs(t, p.Fail(ctx, "gone"), shape.ErrGone)
	lost, ok := errors.AsType[*shape.Lost](p.Fail(ctx, "lost"))
	require.True(t, ok)
	require.Equal(t, "it", lost.Name)
	require.ErrorContains(t, p.Fail(ctx, "other"), "other")

	n := int32(0)
	for point, err := range p.Range(ctx, 5) {
		require.NoError(t, err)
		require.Equal(t, shape.Point{X: n, Y: -n}, point)
		n++
	}
	require.EqualValues(t, 5, n)
	total, err := p.Sum(ctx, 10, slices.Values([]shape.Point{{X: 1}, {X: 2}}))
	require.NoError(t, err)
	require.EqualValues(t, 13, total)
	var answers []string
	for text, err := range p.Chat(ctx, daffi.NoError(slices.Values([]string{"a", "b"}))) {
		require.NoError(t, err)
		answers = append(answers, text)
	}
	require.Equal(t, []string{"re: a", "re: b"}, answers)

	require.NoError(t, p.AddAll(ctx, slices.Values([]string{"1", "2"})))
	require.NoError(t, p.Note(ctx, "3"))
	synctest.Wait()
	require.NoError(t, p.AddNumber(ctx, 4, time.Second))
	require.NoError(t, p.Ring(ctx, "door"))
	synctest.Wait()
	require.NoError(t, p.Scribble(ctx, "none"))
	synctest.Wait()
	require.NoError(t, p.Record(ctx, "admitted"))
	synctest.Wait()
	lines, err := p.Lines(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "4s", "ring door", "none", "admitted"}, lines)

	doc, err := p.Document(ctx, map[string]any{"a": []any{"b", nil}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": []any{"b", nil}}, doc)
	data, err := p.Bytes(ctx, []byte("raw"))
	require.NoError(t, err)
	require.Equal(t, "raw", string(data))
	text, err = p.Text(ctx, "words")
	require.NoError(t, err)
	require.Equal(t, "words", text)

	require.NoError(t, p.Place(ctx, shape.Order{Name: "tea"}, nil))
	for _, err := range []error{p.Place(ctx, shape.Order{}, nil), p.Place(ctx, shape.Order{Name: "tea"}, new(shape.Order))} {
		require.ErrorIs(t, err, shape.ErrGone)
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
	}
	orders, err := p.PlaceAll(ctx, slices.Values([]shape.Order{{Name: "tea"}, {Name: "jam"}}))
	require.NoError(t, err)
	require.Equal(t, 2, orders)
	_, err = p.PlaceAll(ctx, slices.Values([]shape.Order{{Name: "tea"}, {}}))
	require.ErrorIs(t, err, shape.ErrGone)

	at, err := where(ctx)
	require.NoError(t, err)
	require.Equal(t, "generation.Service.Below.Where", at)
}

// TestMessage writes a message of then and reads it now, and the reverse.
func TestMessage(t *testing.T) {
	old := g2.Note{Text: "a", At: time.Unix(3, 4).UTC()}
	b, err := codec.Marshal(&old)
	require.NoError(t, err)
	var today generation.Note
	require.NoError(t, codec.Unmarshal(b, &today))
	require.Equal(t, generation.Note(old), today)
	again, err := codec.Marshal(&today)
	require.NoError(t, err)
	require.Equal(t, b, again)
	require.Equal(t, codec.MessageType(&old), codec.MessageType(&today))
}
