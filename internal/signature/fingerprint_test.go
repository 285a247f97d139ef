package signature

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValidFingerprint(t *testing.T) {
	hash := Fingerprint(strings.Repeat("x", maxPlain+1))
	assert.True(t, Hashed(hash))
	assert.False(t, Hashed("(string)()"))
	for _, text := range []string{"", "(string)()", strings.Repeat("x", maxPlain), hash} {
		assert.True(t, ValidFingerprint(text), text)
		assert.Equal(t, text, Fingerprint(text), "it is its own")
	}
	for _, text := range []string{strings.Repeat("x", maxPlain+1), "#", hash + "0", hash[:32], "#" + strings.ToUpper(hash[1:]), hash[:32] + "x"} {
		assert.False(t, ValidFingerprint(text), text)
	}
}
