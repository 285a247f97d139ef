package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// order is a message as daffigen writes it.
type order struct {
	ID   string
	Next *order
}

var orderFields = []string{"ID", "Next"}

func (m *order) DaffiMessage() codec.Form {
	return codec.FormOf(m, "{ID string;Next *$0}", writeOrder, readOrder)
}

func writeOrder(e *codec.Encoder, v order) {
	e.Struct(2)
	e.Key("ID").String(v.ID)
	codec.WritePtr(e.Key("Next"), v.Next, writeOrder)
	e.Leave()
}

func readOrder(d *codec.Decoder) (v order) {
	for i := range d.Fields(orderFields) {
		switch i {
		case 0:
			v.ID = d.String()
		case 1:
			v.Next = codec.ReadPtr(d, readOrder)
		}
	}
	return v
}

// embeds has an order's method without being one.
type embeds struct{ order }

// called is a call of a method by its signature, as generated code makes it.
func called[Resp any](n *daffi.Node, service, method, sig string, write func(*codec.Encoder), read func(*codec.Decoder) Resp) daffi.Call[Resp] {
	b := daffi.Bind(n, &daffi.Client{Service: service, Methods: []daffi.Method{{Name: method, Sig: sig}}})
	return daffi.NewCall(b, 0, write, func(d *codec.Decoder) Resp { return codec.ReadResult(d, read) })
}

// echoed handles a method of that type, and checks what goes there and comes back.
func echoed[T any](t *testing.T, server, client *daffi.Node, word string, v T, write func(*codec.Encoder, T), read func(*codec.Decoder) T) {
	t.Helper()
	reg, err := daffi.Handle(server, "head.nested.Echo", func(_ context.Context, v T) (T, error) { return v, nil })
	require.NoError(t, err)
	defer func() { require.NoError(t, reg.Close()) }()
	require.Equal(t, "head.nested", reg.Service())
	got, err := called(client, "head.nested", "Echo", "("+word+")("+word+")", func(e *codec.Encoder) { e.Array(1); write(e, v) }, read).Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, v, got)
	info, err := client.Describe(t.Context(), "head.nested")
	require.NoError(t, err)
	require.Len(t, info.Methods, 1)
	require.Equal(t, "Echo", info.Methods[0].Name)
}

func TestD23E12HandleTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		echoed(t, server, client, "string", "tea", codec.WriteString, codec.ReadString)
		echoed(t, server, client, "int", -3, codec.WriteInt, codec.ReadInt)
		echoed(t, server, client, "uint8", 200, codec.WriteUint8, codec.ReadUint8)
		echoed(t, server, client, "bytes", []byte("tea"), codec.WriteBlob, codec.ReadBlob)
		echoed(t, server, client, "time", time.Unix(1, 2).UTC(), codec.WriteTime, codec.ReadTime)
		echoed(t, server, client, "duration", time.Hour, codec.WriteDuration, codec.ReadDuration)
		echoed[any](t, server, client, "any", map[string]any{"a": []any{1, "b"}}, codec.WriteAny, codec.ReadAny)
		echoed(t, server, client, "[]string", []string{"a", ""}, codec.WriteStrings, codec.ReadStrings)
		echoed(t, server, client, "[]bytes", [][]byte{{1}, {2}}, func(e *codec.Encoder, v [][]byte) { codec.WriteSlice(e, v, codec.WriteBlob) },
			func(d *codec.Decoder) [][]byte { return codec.ReadSlice(d, 1, codec.ReadBlob) })
		echoed(t, server, client, "[][]int", [][]int{{1, 2}, nil}, func(e *codec.Encoder, v [][]int) {
			codec.WriteSlice(e, v, func(e *codec.Encoder, v []int) { codec.WriteSlice(e, v, codec.WriteInt) })
		}, func(d *codec.Decoder) [][]int {
			return codec.ReadSlice(d, 1, func(d *codec.Decoder) []int { return codec.ReadSlice(d, 1, codec.ReadInt) })
		})
		echoed(t, server, client, "map[string]float64", map[string]float64{"a": 1.5}, func(e *codec.Encoder, v map[string]float64) {
			codec.WriteMap(e, v, codec.WriteString, codec.WriteFloat64)
		}, func(d *codec.Decoder) map[string]float64 {
			return codec.ReadMap(d, 2, codec.ReadString, codec.ReadFloat64)
		})
		five := 5
		echoed(t, server, client, "*int", &five, func(e *codec.Encoder, v *int) { codec.WritePtr(e, v, codec.WriteInt) },
			func(d *codec.Decoder) *int { return codec.ReadPtr(d, codec.ReadInt) })

		// A struct that comes twice is written once in the signature, as daffigen does it.
		two := order{"a", &order{ID: "b"}}
		const sig = "{ID string;Next *$0}"
		reg, err := daffi.Handle(server, "O.Value", func(_ context.Context, o order) (*order, error) { return &o, nil })
		require.NoError(t, err)
		back, err := called(client, "O", "Value", "("+sig+")(*$0)", func(e *codec.Encoder) { e.Array(1); writeOrder(e, two) },
			func(d *codec.Decoder) *order { return codec.ReadPtr(d, readOrder) }).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, &two, back)
		info, err := client.Describe(t.Context(), "O")
		require.NoError(t, err)
		require.Equal(t, "("+sig+")(*$0)", info.Methods[0].Signature)
		require.NoError(t, reg.Close())
		_, err = daffi.Handle(server, "O.Pointer", func(_ context.Context, o *order) (bool, error) { return o == nil, nil })
		require.NoError(t, err)
		for _, o := range []*order{nil, &two} {
			none, err := called(client, "O", "Pointer", "(*"+sig+")(bool)", func(e *codec.Encoder) { e.Array(1); codec.WritePtr(e, o, writeOrder) }, codec.ReadBool).Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, o == nil, none)
		}

		// No argument and no result.
		ran := false
		_, err = daffi.Handle(server, "O.Nothing", func(context.Context, struct{}) (struct{}, error) { ran = true; return struct{}{}, nil })
		require.NoError(t, err)
		_, err = called(client, "O", "Nothing", "()()", nil, codec.ReadNone).Do(t.Context())
		require.NoError(t, err)
		require.True(t, ran)
		_, err = daffi.Handle(server, "O.Fails", func(context.Context, struct{}) (string, error) { return "", errors.New("no tea") })
		require.NoError(t, err)
		_, err = called(client, "O", "Fails", "()(string)", nil, codec.ReadString).Do(t.Context())
		requireError(t, err, daffi.Unknown, "", daffi.Ran)
	})
}

func TestE12HandleRefuses(t *testing.T) {
	n := daffi.New(daffi.Options{Name: "n", Controller: daffitest.New(t).Controller})
	type plainStruct struct{ A int }
	refused := func(_ *daffi.Registration, err error, text string) {
		t.Helper()
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, text)
	}
	reg, err := daffi.Handle(n, "A.B", func(context.Context, plainStruct) (int, error) { return 0, nil })
	refused(reg, err, "its argument: daffi_test.plainStruct cannot travel without generated code; use a basic type, a slice or map of those, any, or a struct that is marked //daffi:message")
	reg, err = daffi.Handle(n, "A.B", func(context.Context, int) (map[int]string, error) { return nil, nil })
	refused(reg, err, "its result: map[int]string cannot travel")
	reg, err = daffi.Handle(n, "A.B", func(context.Context, embeds) (int, error) { return 0, nil })
	refused(reg, err, "only embeds a message")
	reg, err = daffi.Handle(n, "A.B", func(context.Context, *embeds) (int, error) { return 0, nil })
	refused(reg, err, "only embeds a message")
	reg, err = daffi.Handle[int, int](n, "A.B", nil)
	refused(reg, err, "the function is nil")
	for _, name := range []string{"", "A", "A.", ".B"} {
		reg, err = daffi.Handle(n, name, func(context.Context, int) (int, error) { return 0, nil })
		refused(reg, err, "does not name a method: write Service.Method")
	}
	for _, name := range []string{"daffi.A", "daffi.msg.A"} {
		reg, err = daffi.Handle(n, name, func(context.Context, int) (int, error) { return 0, nil })
		refused(reg, err, "daffi's own")
	}
	reg, err = daffi.Handle(n, "A.B", func(context.Context, int) (int, error) { return 0, nil }, daffi.As("C"))
	refused(reg, err, "As is for Register")
	reg, err = testkit.RegisterKit(n, new(testkit.Impl), daffi.Override())
	refused(reg, err, "Override is for Handle")
}

// TestE15Override registers a method beside those of a generated service, and in the place of one of them.
func TestE15Override(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		echo := func(mark byte) func(context.Context, []byte) ([]byte, error) {
			return func(_ context.Context, b []byte) ([]byte, error) { return append(b, mark), nil }
		}
		says := func(want string) {
			t.Helper()
			got, err := k.p.Echo(t.Context(), []byte("x"))
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		says("x")
		_, err := daffi.Handle(k.server, "Kit.Echo", echo('1'))
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		require.ErrorContains(t, err, "Kit.Echo is registered on this node already; close that registration first, or Handle it with Override")
		_, err = daffi.Handle(k.server, "Kit.Echo", func(context.Context, string) (string, error) { return "", nil }, daffi.Override())
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonSchema, daffi.NotRun)
		require.ErrorContains(t, err, "Kit.Echo has the signature (bytes)(bytes); what overrides it must have the same, not (string)(string)")
		beside, err := daffi.Handle(k.server, "Kit.Further", echo('2'))
		require.NoError(t, err)
		got, err := called(k.client, "Kit", "Further", "(bytes)(bytes)", func(e *codec.Encoder) { e.Array(1); e.Blob(nil) }, codec.ReadBlob).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, "2", string(got))

		over, err := daffi.Handle(k.server, "Kit.Echo", echo('3'), daffi.Override())
		require.NoError(t, err)
		says("x3")
		_, err = daffi.Handle(k.server, "Kit.Echo", echo('4'), daffi.Override())
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		require.NoError(t, over.Close())
		require.NoError(t, over.Close())
		says("x")
		require.NoError(t, beside.Close())
		beside, err = daffi.Handle(k.server, "Kit.Further", echo('5'), daffi.Override()) // nothing is there
		require.NoError(t, err)
		_, err = testkit.RegisterKit(k.server, k.impl)
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		require.NoError(t, beside.Close())
	})
}

// TestE15OverrideEndsWithItsMethod closes what is overridden first.
func TestE15OverrideEndsWithItsMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		is := func(v int) func(context.Context, struct{}) (int, error) {
			return func(context.Context, struct{}) (int, error) { return v, nil }
		}
		call := called(client, "A", "B", "()(int)", nil, codec.ReadInt)
		first, err := daffi.Handle(server, "A.B", is(1))
		require.NoError(t, err)
		over, err := daffi.Handle(server, "A.B", is(2), daffi.Override())
		require.NoError(t, err)
		v, err := call.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.NoError(t, first.Close())
		_, err = call.Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		third, err := daffi.Handle(server, "A.B", is(3))
		require.NoError(t, err)
		require.NoError(t, over.Close())
		v, err = call.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, v)
		require.NoError(t, third.Close())
	})
}

// TestE24OverlapAcrossNodesIsLegal lets two nodes serve one method in different parts.
func TestE24OverlapAcrossNodesIsLegal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		for _, name := range []string{"a", "b"} {
			_, err := daffi.Handle(net.Node(name), "A.B", func(ctx context.Context, _ struct{}) (string, error) { return daffi.NodeFrom(ctx).Name(), nil })
			require.NoError(t, err)
		}
		seen := map[string]bool{}
		for range 100 {
			v, err := called(client, "A", "B", "()(string)", nil, codec.ReadString).Do(t.Context())
			require.NoError(t, err)
			seen[v] = true
		}
		require.Len(t, seen, 2)
	})
}

// TestE24LiveInsertionAndRemoval calls methods while they come and go: every call is answered, by a value or by what says that it has not run.
func TestE24LiveInsertionAndRemoval(t *testing.T) {
	const callers, rounds, methods = 8, 200, 4
	net := daffitest.New(t)
	server, client := net.Node("server"), net.Node("client")
	_, err := daffi.Handle(server, "Live.M0", func(_ context.Context, v int) (int, error) { return v, nil }) // one that stays
	require.NoError(t, err)
	var stop atomic.Bool
	var good, refused, ran atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				m := (c + i) % methods
				v, err := called(client, "Live", fmt.Sprintf("M%d", m), "(int)(int)", func(e *codec.Encoder) { e.Array(1); e.Int(i) }, codec.ReadInt).Do(t.Context())
				var e *daffi.Error
				switch {
				case err == nil && (v == i || v == -i):
					good.Add(1)
				case m != 0 && errors.As(err, &e) && e.Outcome == daffi.NotRun && (e.Code == daffi.Unimplemented || e.Reason == daffi.ReasonNoProvider || e.Reason == daffi.ReasonDraining):
					refused.Add(1)
				default:
					t.Errorf("M%d(%d) = %d, %v", m, i, v, err)
				}
			}
		})
	}
	for i := range rounds {
		var regs []*daffi.Registration
		for m := range methods {
			opts := []daffi.ServeOption{}
			if m == 0 {
				opts = append(opts, daffi.Override())
			}
			reg, err := daffi.Handle(server, fmt.Sprintf("Live.M%d", m), func(_ context.Context, v int) (int, error) { ran.Add(1); return -v, nil }, opts...)
			require.NoError(t, err, i)
			regs = append(regs, reg)
		}
		for _, reg := range regs {
			require.NoError(t, reg.Close())
		}
	}
	stop.Store(true)
	wg.Wait()
	require.NotZero(t, good.Load())
	require.NotZero(t, ran.Load())
	t.Logf("%d answered, %d refused", good.Load(), refused.Load())
}

// TestD37PartsSurviveReconnect announces every part at the next controller.
func TestD37PartsSurviveReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		w.start(t)
		n, err := daffi.Connect(t.Context(), daffi.Options{Name: "n", Controller: &w})
		require.NoError(t, err)
		defer n.Close()
		for _, m := range []string{"A.B", "A.C", "A.b.D"} {
			_, err := daffi.Handle(n, m, func(context.Context, struct{}) (string, error) { return m, nil })
			require.NoError(t, err)
		}
		w.stop()
		w.start(t)
		for _, m := range [][2]string{{"A", "B"}, {"A", "C"}, {"A.b", "D"}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, n.WaitMethod(ctx, m[0]+"."+m[1]))
			v, err := called(n, m[0], m[1], "()(string)", nil, codec.ReadString).Do(ctx)
			require.NoError(t, err)
			require.Equal(t, m[0]+"."+m[1], v)
		}
	})
}

// positive is a message that may not be valid.
type positive struct{ N int }

func (m *positive) DaffiMessage() codec.Form {
	return codec.FormOf(m, "{N int}", func(e *codec.Encoder, v positive) {
		e.Struct(1)
		e.Key("N").Int(v.N)
		e.Leave()
	}, func(d *codec.Decoder) (v positive) {
		for range d.Fields([]string{"N"}) {
			v.N = d.Int()
		}
		return v
	})
}

func (m *positive) Validate() error {
	if m.N < 1 {
		return &daffi.InvalidArgumentError{Field: "N", Got: m.N, Want: "at least 1"}
	}
	return nil
}

// TestE19HandleValidates asks messages before the function runs, as generated code does.
func TestE19HandleValidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var lost atomic.Int64
		server := net.NodeWith(daffi.Options{Name: "server", OnLost: func(daffi.LostCall) { lost.Add(1) }})
		client := net.Node("client")
		ran := 0
		_, err := daffi.Handle(server, "V.Value", func(_ context.Context, m positive) (int, error) { ran++; return m.N, nil })
		require.NoError(t, err)
		_, err = daffi.Handle(server, "V.Pointer", func(_ context.Context, m *positive) (bool, error) { ran++; return m == nil, nil })
		require.NoError(t, err)
		for _, method := range []string{"V.Value", "V.Pointer"} {
			_, err = daffi.Invoke(t.Context(), client, method, &positive{-3})
			requireError(t, err, daffi.InvalidArgument, daffi.ReasonInvalid, daffi.NotRun)
			var wrong *daffi.InvalidArgumentError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, "N", wrong.Field)
			require.Zero(t, ran)
		}
		v, err := daffi.Invoke(t.Context(), client, "V.Value", &positive{3})
		require.NoError(t, err)
		require.Equal(t, 3, v)
		none, err := daffi.Invoke(t.Context(), client, "V.Pointer", nil) // is not asked
		require.NoError(t, err)
		require.Equal(t, true, none)
		ran = 0
		_, err = daffi.HandleMsg(server, "positive", func(context.Context, daffi.Msg[*positive]) error { ran++; return nil })
		require.NoError(t, err)
		require.NoError(t, daffi.SendMsg(t.Context(), client, "positive", &positive{0}))
		require.NoError(t, daffi.SendMsg(t.Context(), client, "positive", &positive{1}))
		synctest.Wait()
		require.Equal(t, 1, ran)
		require.Equal(t, int64(1), lost.Load())
	})
}
