package signature

import (
	"encoding/hex"
	"strings"
)

// Hashed reports whether a fingerprint is a hash, and not the signature itself.
func Hashed(fingerprint string) bool { return strings.HasPrefix(fingerprint, "#") }

// ValidFingerprint reports whether text may be a fingerprint: [Fingerprint] could have made it, or its own is the same.
func ValidFingerprint(text string) bool {
	if !Hashed(text) {
		return len(text) <= maxPlain
	}
	_, err := hex.DecodeString(text[1:])
	return err == nil && len(text) == 1+32 && text == strings.ToLower(text)
}
