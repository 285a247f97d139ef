package descriptors

import (
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// TestDescribe asks a controller what the generated code has published.
func TestDescribe(t *testing.T) {
	net := daffitest.New(t)
	_, err := RegisterTold(net.Node("eu-1"), struct{ Told }{})
	require.NoError(t, err)
	info, err := net.Node("caller").Describe(t.Context(), ToldName)
	require.NoError(t, err)
	nodes := []string{"eu-1"}
	upload := daffi.MethodInfo{Name: "Upload", Signature: "(string,<bytes)(int)", Params: []string{"dir", "files"}, Results: []string{"n"}, Doc: "Upload has an input\nsequence.", Nodes: nodes}
	put, send := upload, upload
	put.Name, put.Alias = "Put", "Upload"
	send.Name, send.Alias = "Send", "Upload"
	require.Equal(t, &daffi.ServiceInfo{
		Name: "Told",
		Doc:  "Told has a comment in a group of types.\n\nIt has \"quotes\", `backquotes`, a \\backslash and ümlauts, in two paragraphs,\n\n\tand code.",
		Methods: []daffi.MethodInfo{
			{Name: "Bare", Signature: "()()", Nodes: nodes},
			{Name: "Beside", Signature: "()()", Doc: "Beside has its comment beside it.", Nodes: nodes},
			{Name: "Blank", Signature: "(string,int)(bool)", Params: []string{"", "n"}, Nodes: nodes},
			{Name: "Deep", Signature: "(string)()", Params: []string{"way"}, Doc: "Deep comes from below.", Nodes: nodes},
			{Name: "Named", Signature: "(string,[]int)(int,[]int)", Params: []string{"text", "counts"}, Results: []string{"sum", "rest"}, Doc: "Named has named arguments and results.", Nodes: nodes},
			{Name: "Note", Signature: "(string)()", Params: []string{"line"}, Doc: "Note: it is not answered.", Oneway: true, Nodes: nodes},
			put,
			send,
			{Name: "Unnamed", Signature: "(string,int)(bool)", Nodes: nodes},
			upload,
			{Name: "Watch", Signature: "(string)>string", Params: []string{"dir"}, Nodes: nodes},
		},
	}, info)
}
