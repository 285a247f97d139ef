package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	"github.com/daffi-rpc/daffi/testdata/golden/types"
)

func TestD17Invoke(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		v, err := daffi.Invoke(t.Context(), k.client, "Kit.Echo", []byte("tea"))
		require.NoError(t, err)
		require.Equal(t, []byte("tea"), v)
		v, err = daffi.Invoke(t.Context(), k.client, "Kit.Echo", "tea") // a string fits into bytes
		require.NoError(t, err)
		require.Equal(t, []byte("tea"), v)
		v, err = daffi.Invoke(t.Context(), k.client, "Kit.Echo", nil)
		require.NoError(t, err)
		require.Nil(t, v)
		v, err = daffi.Invoke(t.Context(), k.client, "Kit.Add", 3.0)
		require.NoError(t, err)
		require.Nil(t, v)
		v, err = daffi.Invoke(t.Context(), k.client, "Kit.Total")
		require.NoError(t, err)
		require.Equal(t, 3, v)
		v, err = daffi.Invoke(t.Context(), k.client, "Kit.Who")
		require.NoError(t, err)
		require.IsType(t, []any{}, v)
		require.Equal(t, "client", v.([]any)[0])
		require.IsType(t, time.Duration(0), v.([]any)[1])
		_, err = daffi.Invoke(t.Context(), k.client, "Kit.Fail", "plain")
		require.Equal(t, daffi.Ran, daffi.OutcomeOf(err))
		require.Equal(t, "Kit.Fail", asError(t, err).Method)
	})
}

func asError(t *testing.T, err error) *daffi.Error {
	t.Helper()
	var e *daffi.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestD17WrongArguments(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for _, c := range []struct {
			method string
			args   []any
			code   daffi.Code
			reason daffi.Reason
			text   string
		}{
			{"Kit.Echo", []any{5}, daffi.InvalidArgument, daffi.ReasonEncode, "argument 1 (b) of Kit.Echo: bytes wanted, int 5 given"},
			{"Kit.Echo", nil, daffi.InvalidArgument, daffi.ReasonEncode, "Kit.Echo takes 1 arguments (b bytes), 0 given"},
			{"Kit.Blobs", []any{1, "x"}, daffi.InvalidArgument, daffi.ReasonShape, "Kit.Blobs has a sequence of results: use PrepareStream"},
			{"Kit.Sum", []any{1}, daffi.InvalidArgument, daffi.ReasonShape, "Kit.Sum takes a sequence: that needs generated code"},
			{"Kit.Add", []any{1.5}, daffi.InvalidArgument, daffi.ReasonEncode, "argument 1 (n) of Kit.Add: int wanted, float64 1.5 given"},
			{"Kit.Nope", nil, daffi.Unimplemented, "", "Kit is served, but not with a method Nope"},
			{"None.Nope", nil, daffi.Unavailable, daffi.ReasonNoProvider, "no node serves None"},
			{"Nope", nil, daffi.InvalidArgument, "", `"Nope" does not name a method: write Service.Method`},
		} {
			_, err := daffi.Invoke(t.Context(), k.client, c.method, c.args...)
			requireError(t, err, c.code, c.reason, daffi.NotRun)
			require.ErrorContains(t, err, c.text)
			require.Equal(t, c.method, asError(t, err).Method)
			require.Equal(t, c.code, daffi.CodeOf(daffi.Prepare(k.client, c.method, c.args...).Post(t.Context())))
		}
		for _, err := range daffi.PrepareStream(k.client, "Kit.Echo", "x").Do(t.Context()) {
			requireError(t, err, daffi.InvalidArgument, daffi.ReasonShape, daffi.NotRun)
			require.ErrorContains(t, err, "Kit.Echo has no sequence of results: use Prepare")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := daffi.Invoke(ctx, k.client, "Kit.Total")
		requireError(t, err, daffi.Canceled, "", daffi.NotRun)
	})
}

// TestD17PrepareModes runs one prepared call in every way.
func TestD17PrepareModes(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		add := daffi.Prepare(k.client, "Kit.Add", 2)
		total := func(want int) {
			t.Helper()
			synctest.Wait()
			v, err := daffi.Prepare(k.client, "Kit.Total").With(daffi.To("server")).Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
		for range 2 {
			_, err := add.Do(t.Context())
			require.NoError(t, err)
		}
		total(4)
		require.NoError(t, add.Post(t.Context()))
		total(6)
		require.NoError(t, daffi.Prepare(k.client, "Kit.Note", "line").Post(t.Context()))
		_, err := daffi.Prepare(k.client, "Kit.Note", "line").Do(t.Context())
		require.NoError(t, err)
		_, err = add.With(daffi.To("nobody")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		_, err = daffi.Prepare(k.client, "Kit.Total").With(daffi.To("nobody")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		var wg sync.WaitGroup
		fresh := daffi.Prepare(k.client, "Kit.Add", 1)
		for range 50 {
			wg.Go(func() {
				_, err := fresh.Do(t.Context())
				require.NoError(t, err)
			})
		}
		wg.Wait()
		total(56)

		var got []any
		for v, err := range daffi.PrepareStream(k.client, "Kit.Count", 5, "").Do(t.Context()) {
			require.NoError(t, err)
			got = append(got, v)
		}
		require.Equal(t, []any{0, 1, 2, 3, 4}, got)
	})
}

// typed serves what it is given.
type typed struct{ types.Types }

func (typed) Basics(_ context.Context, v types.Basics) (types.Basics, error) { return v, nil }
func (typed) Containers(_ context.Context, v types.Containers) (*types.Containers, error) {
	return &v, nil
}
func (typed) Maps(_ context.Context, v types.Scores, _ map[bool][]byte) (types.Links, error) {
	return nil, errors.New(fmt.Sprint(v))
}
func (typed) Empty(context.Context, types.Empty, struct{ X, Y int }) (struct{}, error) {
	return struct{}{}, nil
}

func TestD17Structs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		_, err := types.RegisterTypes(server, typed{})
		require.NoError(t, err)

		at := time.Unix(1700000000, 5).UTC()
		basics := map[string]any{"Bool": true, "Int": -5, "Int8": int8(-8), "Int16": int16(16), "Int32": int32(32), "Int64": int64(64),
			"Uint": uint(5), "Uint8": uint8(255), "Uint16": uint16(16), "Uint32": uint32(32), "Uint64": uint64(1 << 63), "Float32": float32(0.5), "Float64": 1e300,
			"Complex64": complex64(1 + 2i), "Complex128": 3 + 4i, "String": "s", "Rune": 'r', "Byte": byte('b'), "Bytes": []byte("x"), "Time": at, "Duration": time.Minute}
		v, err := daffi.Invoke(t.Context(), client, "Types.Basics", basics)
		require.NoError(t, err)
		require.Equal(t, basics, v)
		v, err = daffi.Invoke(t.Context(), client, "Types.Basics", map[string]any{"Int8": 5.0, "Time": "2024-01-02T03:04:05Z", "Duration": "90s", "Float32": 2})
		require.NoError(t, err)
		require.Equal(t, int8(5), v.(map[string]any)["Int8"])
		require.Equal(t, float32(2), v.(map[string]any)["Float32"])
		require.Equal(t, 90*time.Second, v.(map[string]any)["Duration"])
		require.Equal(t, time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), v.(map[string]any)["Time"])
		require.Equal(t, false, v.(map[string]any)["Bool"], "what is not given is zero")

		item := map[string]any{"id": "1", "old_name": 2, "both": 3, "with space": "4"}
		v, err = daffi.Invoke(t.Context(), client, "Types.Containers", map[string]any{
			"Strings": []string{"a"}, "Smalls": []int{1, 2}, "Nested": [][]string{{"x"}, nil}, "Items": []map[string]any{item}, "Pointers": []any{nil, item},
			"Array": []any{item, item, item}, "Bytes4": []byte("1234"), "ByKey": map[string]any{"k": item}, "ByTime": map[any]any{time.Second: at},
			"Deep": map[string]any{"a": map[string]any{"-7": []any{nil, 5}}}, "PtrTime": at, "Anon": map[string]any{"A": 1, "B": []any{map[string]any{"c": "d"}}}})
		require.NoError(t, err)
		got := v.(map[string]any)
		require.Equal(t, []any{"a"}, got["Strings"])
		require.Equal(t, []any{uint8(1), uint8(2)}, got["Smalls"])
		require.Equal(t, []any{[]any{"x"}, nil}, got["Nested"])
		require.Equal(t, []any{nil, item}, got["Pointers"])
		require.Equal(t, []byte("1234"), got["Bytes4"])
		require.Equal(t, map[string]any{"k": item}, got["ByKey"])
		require.Equal(t, map[any]any{time.Second: at}, got["ByTime"])
		require.Equal(t, map[string]any{"a": map[any]any{-7: []any{nil, 5}}}, got["Deep"])
		require.Equal(t, at, got["PtrTime"])
		require.Nil(t, got["PtrPtr"])

		for _, c := range []struct {
			value any
			text  string
		}{
			{map[string]any{"Int8": 128}, "argument 1 (v) of Types.Basics: .Int8: int8 does not hold 128"},
			{map[string]any{"Uint8": -1}, ".Uint8: uint8 does not hold -1"},
			{map[string]any{"Uint64": 1e300}, ".Uint64: uint64 wanted, float64 1e+300 given"},
			{map[string]any{"Float64": int64(1<<53 + 1)}, ".Float64: float64 does not hold 9007199254740993 exactly"},
			{map[string]any{"Float32": 1e300}, ".Float32: float32 does not hold 1e+300"},
			{map[string]any{"Time": "noon"}, `.Time: a time like 2006-01-02T15:04:05Z wanted, the string "noon" given`},
			{map[string]any{"Duration": 5}, ".Duration: duration wanted, int 5 given"},
			{map[string]any{"Nope": 5, "String": "s"}, "there is no field Nope, there are [Bool Int "},
			{"text", `given`},
			{types.Basics{}, "types.Basics given: give a struct as a map[string]any, or a pointer to one that is marked //daffi:message"},
			{&order{}, "*daffi_test.order given, which is {ID string;Next *$0}"},
			{[]int{1}, "[]int given"},
		} {
			_, err := daffi.Invoke(t.Context(), client, "Types.Basics", c.value)
			requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
			require.ErrorContains(t, err, c.text)
		}
		_, err = daffi.Invoke(t.Context(), client, "Types.Containers", map[string]any{"Array": []any{item}})
		require.ErrorContains(t, err, ".Array: 3 elements wanted, 1 given")
		_, err = daffi.Invoke(t.Context(), client, "Types.Containers", map[string]any{"Items": []any{item, map[string]any{"id": 5}}})
		require.ErrorContains(t, err, ".Items[1].id: string wanted, int 5 given")
		_, err = daffi.Invoke(t.Context(), client, "Types.Containers", map[string]any{"Bytes4": []byte("123")})
		require.ErrorContains(t, err, ".Bytes4: a []byte of 4 bytes wanted, one of 3 given")

		var loop = map[string]any{"ID": "x"}
		loop["Next"] = loop
		_, err = daffi.Handle(server, "O.Get", func(_ context.Context, o *order) (order, error) { return *o, nil })
		require.NoError(t, err)
		_, err = daffi.Invoke(t.Context(), client, "O.Get", loop)
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
		v, err = daffi.Invoke(t.Context(), client, "O.Get", &order{ID: "1", Next: &order{ID: "2"}})
		require.NoError(t, err)
		require.Equal(t, map[string]any{"ID": "1", "Next": map[string]any{"ID": "2", "Next": nil}}, v)
	})
}

// TestD17Versions has nodes that serve a method with other signatures, and one that changes it.
func TestD17Versions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		regs := map[string]*daffi.Registration{}
		serve := func(node *daffi.Node, text bool) {
			var err error
			if text {
				regs[node.Name()], err = daffi.Handle(node, "V.M", func(_ context.Context, s string) (string, error) { return "text " + s, nil })
			} else {
				regs[node.Name()], err = daffi.Handle(node, "V.M", func(_ context.Context, n int) (string, error) { return fmt.Sprint("number ", n), nil })
			}
			require.NoError(t, err)
		}
		a, b, c := net.Node("a"), net.Node("b"), net.Node("c")
		serve(a, true)
		serve(b, true)
		serve(c, false)
		is := func(want string, call daffi.Call[any]) {
			t.Helper()
			v, err := call.Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, v)
		}
		is("text x", daffi.Prepare(client, "V.M", "x"))
		is("number 5", daffi.Prepare(client, "V.M", 5))
		is("number 5", daffi.Prepare(client, "V.M", 5).With(daffi.To("c")))
		_, err := daffi.Prepare(client, "V.M", "x").With(daffi.To("c")).Do(t.Context())
		require.ErrorContains(t, err, "int wanted")
		_, err = daffi.Prepare(client, "V.M", true).Do(t.Context())
		require.ErrorContains(t, err, "string wanted, bool given", "the version of most nodes tells")

		// All change to numbers: what is known is of no use any more, and is asked for again.
		for _, n := range []*daffi.Node{a, b} {
			require.NoError(t, regs[n.Name()].Close())
			serve(n, false)
		}
		v, err := daffi.Invoke(t.Context(), client, "V.M", "x")
		require.ErrorContains(t, err, "int wanted", v)
		v, err = daffi.Invoke(t.Context(), client, "V.M", 7)
		require.NoError(t, err)
		require.Equal(t, "number 7", v)
	})
}

// TestD17DescriptionIsKept counts the questions for it.
func TestD17DescriptionIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		first := daffi.Prepare(k.client, "Kit.Total")
		_, err := first.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"Kit"}, daffi.Described(k.client))
		_, err = daffi.Invoke(t.Context(), k.client, "Kit.Nope")
		requireError(t, err, daffi.Unimplemented, "", daffi.NotRun)
		for i := range daffi.MaxDescribed {
			name := fmt.Sprintf("Kit%d", i)
			reg, err := testkit.RegisterKit(k.server, k.impl, daffi.As(name))
			require.NoError(t, err)
			_, err = daffi.Invoke(t.Context(), k.client, name+".Total")
			require.NoError(t, err)
			require.NoError(t, reg.Close())
		}
		require.LessOrEqual(t, len(daffi.Described(k.client)), daffi.MaxDescribed)
		_, err = daffi.Invoke(t.Context(), k.client, "Kit.Total")
		require.NoError(t, err)
		require.True(t, slices.Contains(daffi.Described(k.client), "Kit"))
		_, err = daffi.Invoke(t.Context(), k.client, "Kit0.Total")
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
		require.False(t, slices.Contains(daffi.Described(k.client), "Kit0"))
	})
}

// TestD17Codecs calls methods whose values other codecs encode.
func TestD17Codecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		echo := func(name, sig string, read func(*codec.Decoder) any, write func(*codec.Encoder, any)) daffi.Handler[plain] {
			return daffi.Handler[plain]{Name: name, Sig: sig, Serve: func(_ context.Context, _ plain, c *daffi.Incoming) error {
				args := c.Args()
				args.Next()
				v := read(args)
				if err := args.Close(); err != nil {
					return err
				}
				write(c.Results(1), v)
				return nil
			}}
		}
		_, err := daffi.Register(server, &daffi.Service[plain]{Name: "C", Handlers: []daffi.Handler[plain]{
			echo("Raw", "(@raw)(@raw)", func(d *codec.Decoder) any { return codec.ReadRaw[[]byte](d) }, func(e *codec.Encoder, v any) { codec.WriteRaw(e, v.([]byte)) }),
			echo("Text", "(@text)(@text)", func(d *codec.Decoder) any { return codec.ReadTextString[string](d) }, func(e *codec.Encoder, v any) { codec.WriteTextString(e, v.(string)) }),
			echo("JSON", "(@json)(@text)", func(d *codec.Decoder) any { return codec.ReadBy[string](d, rawJSON{}) }, func(e *codec.Encoder, v any) { codec.WriteTextString(e, v.(string)) }),
			echo("Own", "(@own)(string)", func(d *codec.Decoder) any { return "" }, func(e *codec.Encoder, v any) { e.String("") }),
		}}, plain{})
		require.NoError(t, err)
		v, err := daffi.Invoke(t.Context(), client, "C.Raw", []byte("x"))
		require.NoError(t, err)
		require.Equal(t, []byte("x"), v)
		v, err = daffi.Invoke(t.Context(), client, "C.Text", "x")
		require.NoError(t, err)
		require.Equal(t, "x", v)
		v, err = daffi.Invoke(t.Context(), client, "C.JSON", `{"a":1}`)
		require.NoError(t, err)
		require.Equal(t, `{"a":1}`, v)
		_, err = daffi.Invoke(t.Context(), client, "C.Own", 5)
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
		require.ErrorContains(t, err, `codec "own" is not registered at node client`)
	})
}

type rawJSON struct{}

func (rawJSON) ID() byte                                { return 3 }
func (rawJSON) Name() string                            { return "json" }
func (rawJSON) Marshal(b []byte, v any) ([]byte, error) { return append(b, v.(string)...), nil }
func (rawJSON) Unmarshal(b []byte, v any) error         { *v.(*string) = string(b); return nil }

// TestD17GoBroadcastSchedule makes prepared calls in the ways that begin without anybody waiting, or go to many.
func TestD17GoBroadcastSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var added atomic.Int64
		for _, name := range []string{"a", "b"} {
			_, err := daffi.Handle(net.Node(name), "S.Add", func(_ context.Context, n int) (string, error) { added.Add(int64(n)); return name, nil })
			require.NoError(t, err)
		}
		client := net.Node("client")

		v, err := daffi.Prepare(client, "S.Add", 1).Go(t.Context()).Wait(t.Context())
		require.NoError(t, err)
		require.Contains(t, []any{"a", "b"}, v)
		_, err = daffi.Prepare(client, "S.Add", "x").Go(t.Context()).Wait(t.Context())
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
		_, err = daffi.Prepare(client, "S.No", 1).Go(t.Context()).Wait(t.Context())
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))

		add := daffi.Prepare(client, "S.Add", 10)
		for range 2 {
			all, err := daffi.Collect(add.Broadcast(t.Context()))
			require.NoError(t, err)
			require.Equal(t, map[string]any{"a": "a", "b": "b"}, all)
		}
		require.Equal(t, int64(41), added.Load())
		_, err = daffi.Collect(daffi.Prepare(client, "S.Add").Broadcast(t.Context()))
		require.Equal(t, daffi.InvalidArgument, daffi.CodeOf(err))

		task, err := daffi.Prepare(client, "S.Add", 100).With(daffi.To("b")).Schedule(t.Context(), daffi.Every(time.Second).Limit(3))
		require.NoError(t, err)
		require.Equal(t, "S.Add", task.Method())
		time.Sleep(5 * time.Second)
		require.Equal(t, int64(341), added.Load())
		_, err = daffi.Prepare(client, "S.Add", 1.5).Schedule(t.Context(), daffi.Every(time.Second))
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
	})
}

// TestD17SeveralKindsOfValues gives slices and maps of every basic type.
func TestD17SeveralKindsOfValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		echo := func(name string, v, want any) {
			t.Helper()
			got, err := daffi.Invoke(t.Context(), client, "S."+name, v)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		same(t, server, "S.A", map[string]int32{})
		same(t, server, "S.B", map[string]time.Duration{})
		same(t, server, "S.C", []complex128{})
		same(t, server, "S.D", [][]float32{})
		same(t, server, "S.E", map[string][]uint16{})
		echo("A", map[string]int32{"x": 1}, map[string]any{"x": int32(1)})
		echo("B", map[string]time.Duration{"x": time.Second}, map[string]any{"x": time.Second})
		echo("C", []complex128{1}, []any{complex128(1)})
		echo("D", [][]float32{{1}}, []any{[]any{float32(1)}})
		echo("E", map[string][]uint16{"x": {1}}, map[string]any{"x": []any{uint16(1)}})
	})
}

// same serves what returns its argument.
func same[T any](t *testing.T, n *daffi.Node, method string, _ T) {
	t.Helper()
	_, err := daffi.Handle(n, method, func(_ context.Context, v T) (T, error) { return v, nil })
	require.NoError(t, err)
}
