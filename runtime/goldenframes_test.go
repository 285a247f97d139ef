package daffi

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// goldenFrames are all of them, by the names of their files.
func goldenFrames() map[string]goldenFrame {
	all := map[string]goldenFrame{}
	for _, part := range []map[string]goldenFrame{goldenHandshake(), goldenControl(), goldenRequests(), goldenStreams(), goldenEnds(), goldenSchedules()} {
		for name, g := range part {
			all[name] = g
		}
	}
	return all
}

func goldenHandshake() map[string]goldenFrame {
	hello := transport.HelloPayload{Features: transport.FeatureZstd, Incarnation: 0x0102030405060708, Name: "shop-1"}
	challenge := transport.ChallengePayload{Features: transport.FeatureZstd, Auth: transport.AuthToken}
	none, shown := transport.ChallengePayload{}, transport.ChallengePayload{Auth: transport.AuthTokenTLS}
	welcome := transport.WelcomePayload{Session: 7, Ping: 5 * time.Second, Dead: 15 * time.Second, MessageLimit: transport.MaxMessage, Name: "controller"}
	refuse := transport.RefusePayload{Code: uint8(AlreadyExists), Reason: string(ReasonNameTaken), Message: `a node named "shop-1" has joined already`}
	var proof [transport.ProofSize]byte
	count := func(b []byte, from byte) {
		for i := range b {
			b[i] = from + byte(i)
		}
	}
	count(hello.Session[:], 0x10)
	count(hello.Nonce[:], 0x20)
	count(challenge.Nonce[:], 0x40)
	count(none.Nonce[:], 0x40)
	count(shown.Nonce[:], 0x40)
	token := []byte(strings.Repeat("\x01", transport.TokenSize))
	said := transport.AppendHello(nil, &hello)
	challenge.Proof = transport.ControllerProof(token, said, transport.AppendChallenge(nil, &challenge))
	proof = transport.NodeProof(token, said, transport.AppendChallenge(nil, &challenge))
	count(welcome.Incarnation[:], 0x60)
	resume := transport.ResumePayload{Session: 7, Controller: welcome.Incarnation, Attempt: 1, Received: 262_144}
	resumed := resume
	resumed.Received = 1_000
	secret := transport.ResumeSecret(token, said, transport.AppendChallenge(nil, &challenge))
	resume.Prove(secret, false)
	resumed.Prove(secret, true)
	layout := []any{"version", 1, "features", 1, "auth", 1, "nonce", 32, "proof", 32}
	return map[string]goldenFrame{
		"hello": {about: "A node begins.", header: transport.Header{Kind: transport.Hello}, payload: fields(said,
			"magic", 4, "version", 1, "features", 1, "session", 16, "incarn.", 8, "nonce", 32, "length", 1, "name", 6), check: parsed(hello, transport.ParseHello)},
		"challenge": {about: "The controller answers hello.hex, and knows the token of 32 bytes 01.", header: transport.Header{Kind: transport.Challenge},
			payload: fields(transport.AppendChallenge(nil, &challenge), layout...), check: parsed(challenge, transport.ParseChallenge)},
		"challenge-none": {about: "The controller needs no token.", header: transport.Header{Kind: transport.Challenge},
			payload: fields(transport.AppendChallenge(nil, &none), layout...), check: parsed(none, transport.ParseChallenge)},
		"challenge-shown": {about: "The controller wants to be shown a token, over TLS.", header: transport.Header{Kind: transport.Challenge},
			payload: fields(transport.AppendChallenge(nil, &shown), layout...), check: parsed(shown, transport.ParseChallenge)},
		"proof-shown": {about: "The node answers challenge-shown.hex, and has the token of 32 bytes 01.", header: transport.Header{Kind: transport.Proof},
			payload: fields(transport.AppendProof(nil, [transport.ProofSize]byte(token)), "token", 32), check: parsed([transport.ProofSize]byte(token), transport.ParseProof)},
		"proof": {about: "The node answers challenge.hex, and knows the token of 32 bytes 01.", header: transport.Header{Kind: transport.Proof},
			payload: fields(transport.AppendProof(nil, proof), "proof", 32), check: parsed(proof, transport.ParseProof)},
		"welcome": {about: "The node has joined.", header: transport.Header{Kind: transport.Welcome}, payload: fields(transport.AppendWelcome(nil, &welcome),
			"session", 4, "incarn.", 16, "ping ms", 4, "dead ms", 4, "limit", 4, "length", 1, "name", 10), check: parsed(welcome, transport.ParseWelcome)},
		"refuse": {about: "The node may not join.", header: transport.Header{Kind: transport.Refuse}, payload: fields(transport.AppendRefuse(nil, &refuse),
			"code", 1, "length", 1, "reason", len(refuse.Reason), "length", 2, "message", 0), check: parsed(refuse, transport.ParseRefuse)},
		"ping": {about: "Is anybody there?", header: transport.Header{Kind: transport.Ping, Arg: 0x1122334455667788}, check: bare("")},
		"pong": {about: "The answer to ping.hex.", header: transport.Header{Kind: transport.Pong, Arg: 0x1122334455667788}, check: bare("")},
		"ack":  {about: "Everything up to an offset of a resumable link has come.", header: transport.Header{Kind: transport.Ack, Arg: 262_144}, check: bare("")},
		"resume": {about: "After hello.hex, challenge.hex and welcome.hex, the node asks for its link to go on over this connection.", header: transport.Header{Kind: transport.Resume}, payload: fields(transport.AppendResume(nil, &resume),
			"version", 1, "session", 4, "incarn.", 16, "attempt", 8, "received", 8, "proof", 32), check: parsed(resume, transport.ParseResume)},
		"resumed": {about: "The controller answers resume.hex: the link goes on.", header: transport.Header{Kind: transport.Resume}, payload: fields(transport.AppendResume(nil, &resumed),
			"version", 1, "session", 4, "incarn.", 16, "attempt", 8, "received", 8, "proof", 32), check: parsed(resumed, transport.ParseResume)},
		"goodbye":   {about: "The link closes.", header: transport.Header{Kind: transport.Goodbye, Flags: transport.Bulk}, check: bare("")},
		"drain":     {about: "The node wants no more calls, or the controller sends no more.", header: transport.Header{Kind: transport.Drain, Flags: transport.Bulk}, check: bare("")},
		"peer":      {about: "A node is about to call.", header: transport.Header{Kind: transport.Peer, Peer: 7}, payload: fields([]byte("shop-1"), "name", 6), check: bare("shop-1")},
		"peer-left": {about: "A node that has called is gone.", header: transport.Header{Kind: transport.Peer, Flags: transport.Bulk, Peer: 7}, check: bare("")},
		"optional": {about: "A frame of a later version, which is skipped.", header: transport.Header{Kind: 200, Flags: transport.Optional},
			payload: []golden.Line{{Bytes: []byte("whatever"), Comment: "whatever"}}, check: bare("whatever")},
	}
}

func goldenControl() map[string]goldenFrame {
	methods := []control.Method{{Name: "Add", Sig: "(string)()", Number: 1}, {Name: "Total", Sig: "#0123456789abcdef0123456789abcdef", Number: 300}}
	description := control.Description{Name: "Add", Sig: "(string)()", Params: []string{"item"}, Results: []string{"n"}, Doc: "Add adds.", Alias: "Put", Oneway: true, Route: 5, Nodes: []string{"shop-1"}}
	failure := goldenFailure()
	return map[string]goldenFrame{
		"control-ok":         plainly("Done.", 1, control.OpOK),
		"control-registered": said("Done, and the controller wants to know more of two methods.", 1, 0, control.OpOK, &control.Registered{Describe: []uint32{0, 1}}),
		"control-failed":     said("Not done.", 1, 0, control.OpFailed, &failure),
		"control-register":   said("The node serves this.", 1, 0, control.OpRegister, &control.Register{Service: "Shop", Methods: methods}),
		"control-catch":      said("The node takes what nobody serves.", 8, 0, control.OpCatch, &control.Catch{Prefix: "Shop.old"}),
		"control-uncatch":    said("And does so no longer.", 9, 0, control.OpUncatch, &control.Uncatch{Prefix: "Shop.old"}),
		"control-introduce":  said("This is called, which nobody serves.", 0, 0, control.OpIntroduce, &control.Introduce{Number: control.Introduced | 5, Service: "Shop.old", Method: "Add", Sig: "(string)()"}),
		"control-register-part": said("And this, by itself.", 1, 0, control.OpRegister, &control.Register{Service: "Shop",
			Methods: []control.Method{{Name: "Close", Sig: "()()", Number: 4}}, Part: 3}),
		"control-unregister-part": said("And this part no longer.", 2, 0, control.OpUnregister, &control.Unregister{Service: "Shop", Part: 3}),
		"control-unregister":      said("And does so no longer.", 2, 0, control.OpUnregister, &control.Unregister{Service: "Shop"}),
		"control-resolve":         said("The node wants to call this.", 3, 0, control.OpResolve, &control.Resolve{Service: "Shop", Methods: methods}),
		"control-routes":          said("By these numbers.", 3, 0, control.OpRoutes, &control.Routes{Routes: []control.Route{{Number: 5, Remote: true}, {Number: 70000}}}),
		"control-routes-denied": said("By this number, and the policy does not let the node know of the other.", 3, 0, control.OpRoutes,
			&control.Routes{Routes: []control.Route{{Number: 5}, {Number: control.NoRoute}}}),
		"control-find":  said("Which session has the node of that name?", 4, 0, control.OpFind, &control.Find{Node: "shop-1"}),
		"control-found": said("This one.", 4, 0, control.OpFound, &control.Found{Session: 7}),
		"control-watch": plainly("Who is there, from now on?", 0, control.OpWatch),
		"control-table": said("These are.", 0, 0, control.OpTable, &control.Table{Revision: 9, Nodes: []control.Node{
			{Session: 7, Name: "shop-1", Services: []control.Service{{Name: "Shop", Methods: []string{"Add", "Total"}}}}}, Left: []uint32{3, 4}, More: true}),
		"control-missing":  said("Their signatures are not known.", 1, 0, control.OpMissing, &control.Missing{Methods: []uint32{1}}),
		"control-describe": said("They look like this.", 2, 0, control.OpDescribe, &control.Describe{Service: "Shop", Doc: "Shop sells.", Served: true, Methods: []control.Description{description}}),
		"control-inspect":  said("What does that service look like?", 5, 0, control.OpInspect, &control.Inspect{Service: "Shop", After: control.Cursor{Method: "Add", Route: 5, Session: 7}}),
		"control-inspected": said("Like this, and there is more.", 5, 0, control.OpInspected, &control.Inspected{
			Doc: "Shop sells.", Methods: []control.Description{description}, More: true, Next: control.Cursor{Method: "Add", Route: 5, Session: 8}}),
		"control-targets":       said("Who serves this?", 6, 0, control.OpTargets, &control.Targets{Route: 5}),
		"control-sessions":      said("These, and others.", 6, transport.More, control.OpSessions, &control.Sessions{Numbers: []uint32{1, 200, 70000}}),
		"control-targets-named": said("Who serves this, by name?", 6, 0, control.OpTargets, &control.Targets{Route: 5, Named: true}),
		"control-sessions-named": said("These.", 6, 0, control.OpSessions,
			&control.Sessions{Numbers: []uint32{1, 200}, Names: []string{"shop-1", "shop-2"}}),
		"control-register-balance": said("The node serves this, and wants it called in turn.", 1, 0, control.OpRegister, &control.Register{Service: "Shop", Methods: methods, Balance: control.BalanceRoundRobin}),
		"control-about":            said("The node has these labels.", 1, 0, control.OpAbout, &control.About{Labels: []control.Label{{Name: "tier", Value: "1"}, {Name: "zone", Value: "eu"}}}),
		"control-table-age": said("This one has joined a while ago.", 0, 0, control.OpTable, &control.Table{Revision: 9, Nodes: []control.Node{
			{Session: 7, Name: "shop-1", Age: 70}}}),
		"control-table-labels": said("This one has labels.", 0, 0, control.OpTable, &control.Table{Revision: 9, Nodes: []control.Node{
			{Session: 7, Name: "shop-1", Services: []control.Service{{Name: "Shop", Methods: []string{"Add"}}}, Labels: []control.Label{{Name: "zone", Value: "eu"}}}}}),
		"control-select": said("The node wants to call this at nodes in one zone, its own as well as others, in turn.", 7, 0, control.OpSelect, &control.Select{Service: "Shop", Methods: methods, Choice: control.Choice{
			Where: []control.Label{{Name: "zone", Value: "eu"}}, Self: true, Balance: control.BalanceRoundRobin, Admitted: true, Apart: true}}),
		"control-about-stoppable": said("The node may be asked to shut down.", 1, 0, control.OpAbout, &control.About{Stoppable: true}),
		"control-stop":            said("The controller asks for that.", 0, 0, control.OpStop, &control.Stop{}),
		"control-stop-refused":    said("The node does not.", 0, 0, control.OpStop, &control.Stop{Refused: "not now"}),
		"control-await":           said("Tell me when these have providers, the last of them others than me.", 7, 0, control.OpAwait, &control.Await{Routes: []uint32{5, 70000}, Others: []uint32{6}, Nodes: []string{"shop-1"}}),
		"control-forget":          said("I do not want to know any more.", 0, 0, control.OpForget, &control.Forget{Number: 7}),
	}
}

func goldenFailure() control.Failure {
	return control.Failure{Code: uint8(FailedPrecondition), Reason: "sold_out", Outcome: uint8(Ran), Message: "no tea is left", Node: "shop-1", Method: "Shop.Add",
		Identities: []control.Identity{{Name: "ErrSoldOut"}, {Name: "Limit", Value: []byte{0x81, 0xa3, 'M', 'a', 'x', 7}}}}
}

// goldenCall is a call of a node, goldenServed one that the controller has opened towards a node.
var goldenCall, goldenServed = transport.CallID(9, 3), transport.Served | transport.CallID(1, 2)

// goldenRequests are calls with everything that may come before their arguments.
func goldenRequests() map[string]goldenFrame {
	args := written(func(e *codec.Encoder) { e.Array(2); e.String("tea"); e.Int(3) })
	md := &metadata{values: map[string]string{"traceparent": "00-11-22-01"}, wire: append([]byte{0, 0}, "\x81\xabtraceparent\xab00-11-22-01"...)}
	md.wire[0] = byte(len(md.wire) - 2)
	full := tag{attempt: 2, id: callID{0: 1, 15: 16}, turns: []uint64{0x1122334455667788, 5}}
	short := tag{attempt: 1}
	request := func(h transport.Header) transport.Header {
		h.Kind, h.Route = transport.Request, 5
		if h.Call == 0 {
			h.Call = goldenCall
		}
		return h
	}
	front := func(t *tag) []golden.Line {
		b := t.append(nil)
		if len(b) == 1 {
			return fields(b, "tag", 1)
		}
		return fields(b, "tag", 1, "key", 16, "turns", 1, "", 8, "", 8)
	}
	meta := append(fields(md.wire[:2], "length", 2), golden.MessagePack(md.wire[2:])...)
	text := strings.Repeat("tea, ", 40)
	packed := transport.NewCompressor().Compress(nil, []byte(text[:150])) // so short that it is not compressed
	return map[string]goldenFrame{
		"request": {about: "A call with 30 s left.", header: request(transport.Header{Arg: uint64(30 * time.Second)}), payload: golden.MessagePack(args), check: bare(string(args))},
		"request-served": {about: "The same as it reaches the callee.", header: request(transport.Header{Call: goldenServed, Peer: 7, Depth: 1, Arg: uint64(29 * time.Second)}),
			payload: golden.MessagePack(args), check: bare(string(args))},
		"request-oneway": {about: "Nobody waits for an answer; any node with that key's hash.", header: request(transport.Header{Mode: transport.Oneway | transport.Keyed, Peer: 0x8badf00d}),
			payload: golden.MessagePack(args), check: bare(string(args))},
		"request-tagged": {about: "The third attempt of an idempotent call, made by one that holds two turns, with metadata.",
			header:  request(transport.Header{Mode: transport.Tagged, Flags: transport.Meta, Depth: 2}),
			payload: append(append(front(&full), meta...), golden.MessagePack(args)...),
			check: func(t *testing.T, b []byte) {
				var got tag
				n, err := got.read(b)
				require.NoError(t, err)
				require.Equal(t, full, got)
				values, rest, err := splitMetadata(b[n:], &Limits{Metadata: maxMetadata, MetadataKeys: maxMetadataKeys})
				require.NoError(t, err)
				require.Equal(t, md.values, values)
				require.Equal(t, args, rest)
				require.Equal(t, b, wrap(&full, outgoing(WithMetadata(t.Context(), md.values)), &transport.Buffer{B: args}).B, "as it is written")
			}},
		"request-again": {about: "The second attempt of a call without anything else.", header: request(transport.Header{Mode: transport.Tagged}),
			payload: append(front(&short), golden.MessagePack(args)...), check: func(t *testing.T, b []byte) {
				var got tag
				n, err := got.read(b)
				require.NoError(t, err)
				require.Equal(t, short, got)
				require.Equal(t, args, b[n:])
			}},
		"request-asks": {about: "A call whose caller takes metadata of its reply.", header: request(transport.Header{Mode: transport.Tagged}),
			payload: append(fields((&tag{replies: true}).append(nil), "tag", 1), golden.MessagePack(args)...), check: func(t *testing.T, b []byte) {
				var got tag
				n, err := got.read(b)
				require.NoError(t, err)
				require.Equal(t, tag{replies: true}, got)
				require.Equal(t, args, b[n:])
			}},
		"request-large": {about: "A message of 1 MiB is announced, compressed.", header: request(transport.Header{Flags: transport.Large | transport.Zstd | transport.Bulk}),
			payload: fields(transport.AppendAnnounced(nil, 1<<20), "length", 4), check: func(t *testing.T, b []byte) { require.EqualValues(t, 1<<20, transport.AnnouncedLength(b)) }},
		"request-zstd": {about: "A zstd frame that holds its content as it is.", header: request(transport.Header{Flags: transport.Zstd}),
			payload: []golden.Line{{Name: "zstd", Bytes: packed}}, check: unpacked(text[:150])},
		"request-packed": {about: "A zstd frame as it was written when this file was.", header: request(transport.Header{Flags: transport.Zstd}),
			payload: []golden.Line{{Name: "zstd", Bytes: packedText()}}, check: unpacked(strings.Repeat("apples and pears, ", 200)), unpack: true},
		"request-streams": {about: "Both sides will send a stream.", header: request(transport.Header{Mode: transport.Input | transport.Output}),
			payload: golden.MessagePack([]byte{0x90}), check: bare("\x90")},
		"request-wide": {about: "The callee may begin with 16 KiB.", header: request(transport.Header{Mode: transport.Output | transport.Wide}), payload: golden.MessagePack(args),
			check: bare(string(args))},
		"request-each": {about: "A stream of calls.", header: request(transport.Header{Mode: transport.Input | transport.Each}), check: bare("")},
	}
}

func packedText() []byte {
	return transport.NewCompressor().Compress(nil, []byte(strings.Repeat("apples and pears, ", 200)))
}

// unpacked checks the content of a zstd frame.
func unpacked(want string) func(*testing.T, []byte) {
	return func(t *testing.T, b []byte) {
		c := transport.NewCompressor()
		defer c.Close()
		got, err := c.Decompress(nil, b, transport.MaxMessage)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// goldenStreams are the frames that follow a Request.
func goldenStreams() map[string]goldenFrame {
	of := func(kind transport.Kind, flags transport.Flags) transport.Header {
		return transport.Header{Kind: kind, Flags: flags, Call: goldenServed}
	}
	first, second := written(func(e *codec.Encoder) { e.Array(1); e.String("tea") }), strings.Repeat("x", 200)
	var items []golden.Line
	for _, item := range []string{string(first), second} {
		n := binary.AppendUvarint(nil, uint64(len(item)))
		items = append(items, golden.Line{Name: "length", Bytes: n}, golden.Line{Name: "item", Bytes: []byte(item)})
	}
	broken := goldenFailure()
	reason := written(broken.AppendTo)
	cause := written((&control.Failure{Code: uint8(DeadlineExceeded), Message: "the deadline has passed", Node: "shop-1"}).AppendTo)
	packed := transport.NewCompressor().Compress(nil, golden.Join(items)[:100])
	chunk := strings.Repeat("z", transport.MaxContent)
	return map[string]goldenFrame{
		"data": {about: "Two items.", header: of(transport.Data, transport.Bulk), payload: items, check: func(t *testing.T, b []byte) {
			for _, want := range []string{string(first), second} {
				n, k := binary.Uvarint(b)
				require.Equal(t, want, string(b[k:k+int(n)]))
				b = b[k+int(n):]
			}
			require.Empty(t, b)
		}},
		"data-zstd":   {about: "Items in a zstd frame.", header: of(transport.Data, transport.Bulk|transport.Zstd), payload: []golden.Line{{Name: "zstd", Bytes: packed}}, check: unpacked(string(golden.Join(items)[:100]))},
		"data-end":    {about: "The input is complete.", header: of(transport.Data, transport.Bulk|transport.End), check: bare("")},
		"data-broken": {about: "The input broke.", header: of(transport.Data, transport.Bulk|transport.End|transport.Broken), payload: golden.MessagePack(reason), check: failed(broken)},
		"data-large": {about: "An item of 100 000 bytes is announced.", header: of(transport.Data, transport.Bulk|transport.Large),
			payload: fields(transport.AppendAnnounced(nil, 100_000), "length", 4), check: func(t *testing.T, b []byte) { require.EqualValues(t, 100_000, transport.AnnouncedLength(b)) }},
		"grant":      {about: "There is room for what was announced.", header: of(transport.Grant, 0), check: bare("")},
		"chunk":      {about: "A piece, and others follow.", header: of(transport.Chunk, transport.Bulk|transport.More), payload: []golden.Line{{Bytes: []byte(chunk)}}, check: bare(chunk)},
		"chunk-last": {about: "The last piece.", header: of(transport.Chunk, transport.Bulk), payload: []golden.Line{{Bytes: []byte(chunk[:34_464])}}, check: bare(chunk[:34_464])},
		"credit":     {about: "The sender may send 12 KiB more.", header: transport.Header{Kind: transport.Credit, Call: goldenServed, Arg: 12 << 10}, check: bare("")},
		"stop":       {about: "The callee wants no more input.", header: of(transport.Stop, transport.Bulk), check: bare("")},
		"cancel-why": {about: "The caller has gone, and says why.", header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: goldenCall},
			payload: golden.MessagePack(cause), check: func(t *testing.T, b []byte) {
				e := readCause(b)
				require.Equal(t, []any{DeadlineExceeded, "the deadline has passed", "shop-1"}, []any{e.Code, e.Message, e.Node})
				require.Equal(t, b, (&Node{opts: Options{Name: "shop-1"}}).appendCause(&Error{Code: DeadlineExceeded, Message: "the deadline has passed"}))
			}},
		"cancel": {about: "The caller has gone.", header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: goldenCall}, check: bare("")},
	}
}

// goldenEnds are how calls end.
func goldenEnds() map[string]goldenFrame {
	results := written(func(e *codec.Encoder) { e.Array(1); e.Int(-42) })
	md := newMetadata(map[string]string{"took": "7ms"})
	extended := control.Failure{Code: uint8(NotFound), Outcome: uint8(Ran), Message: "no tea is left", Node: "shop-1", Method: "Shop.Add", Metadata: md.values}
	failure, plain := goldenFailure(), control.Failure{Code: uint8(Unavailable), Reason: string(ReasonNodeLost), Message: "the node is gone"}
	return map[string]goldenFrame{
		"accepted": {about: "A one-way call is on its way.", header: transport.Header{Kind: transport.Accepted, Call: goldenCall}, check: bare("")},
		"reply":    {about: "Results.", header: transport.Header{Kind: transport.Reply, Call: goldenServed}, payload: golden.MessagePack(results), check: bare(string(results))},
		"reply-meta": {about: "Results behind metadata, which the caller has asked for.", header: transport.Header{Kind: transport.Reply, Flags: transport.Meta, Call: goldenServed},
			payload: append(append(fields(md.wire[:2], "length", 2), golden.MessagePack(md.wire[2:])...), golden.MessagePack(results)...), check: func(t *testing.T, b []byte) {
				p := &pending{flags: transport.Meta, reply: &transport.Buffer{B: b}, into: new(ReplyMetadata)}
				require.Nil(t, (&Binding{node: New(Options{})}).headed(p, 0))
				require.Equal(t, md.values, p.into.Values())
				require.Equal(t, results, b[p.head:])
			}},
		"error-meta": {about: "An error with metadata, which the caller has asked for.", header: transport.Header{Kind: transport.Error, Call: goldenServed},
			payload: golden.MessagePack(written(extended.AppendTo)), check: failed(extended)},
		"reply-large": {about: "Results of 4 MiB are announced.", header: transport.Header{Kind: transport.Reply, Flags: transport.Large | transport.Bulk, Call: goldenServed},
			payload: fields(transport.AppendAnnounced(nil, 4<<20), "length", 4), check: func(t *testing.T, b []byte) { require.EqualValues(t, 4<<20, transport.AnnouncedLength(b)) }},
		"error": {about: "The handler has failed with errors that keep their identity.", header: transport.Header{Kind: transport.Error, Call: goldenServed},
			payload: golden.MessagePack(written(failure.AppendTo)), check: failed(failure)},
		"error-plain": {about: "The callee is gone; no identities, so their element is left out.", header: transport.Header{Kind: transport.Error, Call: goldenCall},
			payload: golden.MessagePack(written(plain.AppendTo)), check: failed(plain)},
	}
}

// failed checks the payload of an Error, and that a node writes the same of the error that it makes of it.
func failed(want control.Failure) func(*testing.T, []byte) {
	return func(t *testing.T, b []byte) {
		var got control.Failure
		var d codec.Decoder
		d.Reset(b)
		require.NoError(t, got.ReadFrom(&d))
		require.Equal(t, want, got)
		require.Equal(t, b, appendFailure(readFailure(b)))
	}
}
