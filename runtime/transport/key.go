package transport

// KeyHash is what a Request with [Keyed] carries for a key, given as it is encoded; see Keys in the package comment.
func KeyHash(encoded []byte) uint32 {
	return uint32(mix(fnv(encoded)) >> 32)
}

// NameHash is what [Score] needs of a node's name.
func NameHash(name string) uint64 { return mix(fnv(name)) }

// Score ranks a node among the providers for a key: the highest gets the call.
func Score(name uint64, key uint32) uint64 {
	return mix(name ^ uint64(key)*0x9e3779b97f4a7c15)
}

// fnv is FNV-1a with 64 bits.
func fnv[T string | []byte](s T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// mix is the finalizer of MurmurHash3: every bit of x decides about every bit of what it gives.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
