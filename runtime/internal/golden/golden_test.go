package golden

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormatAndBytes(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, {1, 2, 3}, bytes.Repeat([]byte{7}, 15), bytes.Repeat([]byte{7}, 16), append(bytes.Repeat([]byte{0}, 70_000), 1, 2),
		append([]byte{9, 9}, bytes.Repeat([]byte{0}, 40)...), bytes.Repeat([]byte{1, 1, 2}, 20)} {
		text := Format("about\nthis", []Line{{Name: "field", Bytes: b, Comment: "a: b # c"}, {Bytes: b}})
		got, err := Bytes(text)
		require.NoError(t, err, "%s", text)
		require.True(t, bytes.Equal(append(bytes.Clone(b), b...), got), "%s", text)
		require.Less(t, len(text), 300)
	}
	for _, text := range []string{"f: 0", "f: xy", "f: 00*0", "f: 00*x", "f: 00*99999999", "f: $a=00", "f: $a", "$=00"} {
		_, err := Bytes([]byte("# about\n" + text))
		require.ErrorContains(t, err, "line 2: ", text)
	}
	tokens, err := Tokens(" 0102 $call=0900 ff*3")
	require.NoError(t, err)
	require.Equal(t, []Token{{"", []byte{1, 2}}, {"call", []byte{9, 0}}, {"", []byte{255, 255, 255}}}, tokens)
}

func TestMessagePack(t *testing.T) {
	b := []byte("\x94\x07\xa1x\x92\xc0\xc3\x81\xa1k\xd1\xff\x00\xc4\x02ab\xcc\xff\xdc\x00\x01\x01\xff\xd9\x01y")
	var what []string
	lines := MessagePack(b)
	for _, l := range lines {
		what = append(what, l.Comment)
	}
	require.Equal(t, []string{"array of 4", "  7", `  "x"`, "  array of 2", "    nil", "    true", "  map of 1", `    "k"`, "    -256", "2 bytes", "255",
		"array of 1", "  1", "-1", `"y"`}, what)
	require.Equal(t, b, Join(lines))
	for n := range b { // whatever is cut stays whole
		require.Equal(t, b[:n], append([]byte{}, Join(MessagePack(b[:n]))...))
	}
}
